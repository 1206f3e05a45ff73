package backend

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// explain gives a call's error its cause and says what happened in words for the person who waits.
func explain(err error, took time.Duration) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	switch s.Code() {
	case codes.Canceled:
		return outcome.New(outcome.Canceled, errors.New("the caller stopped waiting"))
	case codes.DeadlineExceeded:
		return outcome.New(outcome.Timeout, fmt.Errorf("no answer within %s: %s", took.Round(time.Millisecond), s.Message()))
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
