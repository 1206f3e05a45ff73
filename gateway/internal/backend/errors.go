package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/sdk/interceptor"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// explain gives a call's error its cause and says what happened in words for the person who waits. That
// nobody waits any more, or that the time is over, is only taken from ctx: the backend may send the same
// codes for troubles of its own.
func explain(ctx context.Context, err error, took time.Duration) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return outcome.New(outcome.Canceled, errors.New("the caller stopped waiting"))
	case s.Code() == codes.DeadlineExceeded && nearlyOver(ctx):
		return outcome.New(outcome.Timeout, fmt.Errorf("no answer within %s: %s", took.Round(time.Millisecond), s.Message()))
	}
	switch s.Code() {
	case codes.Unavailable:
		return outcome.New(outcome.Unreachable, fmt.Errorf("it cannot be reached: %s", s.Message()))
	case codes.NotFound, codes.Unimplemented:
		return outcome.New(outcome.BackendError, fmt.Errorf("it does not serve what was asked (endpoint or handler is wrong): %s", s.Message()))
	case codes.ResourceExhausted:
		return outcome.New(outcome.BackendError, fmt.Errorf("it is overloaded or the object is too large for it: %s", s.Message()))
	default:
		return outcome.New(outcome.BackendError, fmt.Errorf("it answered with an error: %s: %s", s.Code(), s.Message()))
	}
}

// nearlyOver tells whether ctx has run out, or is about to: a server keeps back a little for its answer.
func nearlyOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < 2*interceptor.Needed
}
