package backend

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// Asker asks one backend. *Client is one.
type Asker interface {
	Mutate(ctx context.Context, req *admissionv1.MutateRequest) (resp *admissionv1.MutateResponse, replica string, err error)
	Validate(ctx context.Context, req *admissionv1.ValidateRequest) (resp *admissionv1.ValidateResponse, replica string, err error)
}

const (
	// The breaker opens when at least half of the calls of ten seconds, and of at least twenty, cost their time
	// and brought nothing. One call a second then finds out whether the backend is back.
	breakerRate     = 0.5
	breakerCalls    = 20
	breakerPeriod   = 10 * time.Second
	breakerInterval = time.Second
	// patience is the least time after which a call without an answer says something about the backend: the
	// shortest timeoutSeconds, less what a server keeps back of it for its answer. The deadline of a review is
	// the user's to choose (?timeout= of the API request), so a shorter wait says nothing.
	patience = 900 * time.Millisecond
)

// Isolation keeps the troubles of one backend its own: it bounds how many calls are under way to it at once,
// and stops asking it while it does not answer. It is safe for concurrent use, and outlives configurations.
type Isolation struct {
	limit    int
	bulkhead bulkhead.Bulkhead[any]
	breaker  circuitbreaker.CircuitBreaker[any]
	last     atomic.Pointer[string] // why the last call failed
}

// NewIsolation returns an isolation for at most limit calls at once. changed is told when the breaker opens
// or closes again.
func NewIsolation(limit int, changed func(open bool)) *Isolation {
	return &Isolation{
		limit:    limit,
		bulkhead: bulkhead.New[any](uint(max(limit, 1))),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureRateThreshold(breakerRate, breakerCalls, breakerPeriod).
			WithSuccessThreshold(1).
			WithDelay(breakerInterval).
			WithJitterFactor(0.1).
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				switch {
				case e.OldState == circuitbreaker.ClosedState:
					changed(true)
				case e.NewState == circuitbreaker.ClosedState:
					changed(false)
				}
			}).Build(),
	}
}

// Around returns a, isolated.
func (i *Isolation) Around(a Asker) Asker { return isolated{i, a} }

type isolated struct {
	*Isolation

	asker Asker
}

// Mutate implements Asker.
func (i isolated) Mutate(ctx context.Context, req *admissionv1.MutateRequest) (resp *admissionv1.MutateResponse, replica string, err error) {
	err = i.call(ctx, func() error {
		resp, replica, err = i.asker.Mutate(ctx, req)
		return err
	})
	return resp, replica, err
}

// Validate implements Asker.
func (i isolated) Validate(ctx context.Context, req *admissionv1.ValidateRequest) (resp *admissionv1.ValidateResponse, replica string, err error) {
	err = i.call(ctx, func() error {
		resp, replica, err = i.asker.Validate(ctx, req)
		return err
	})
	return resp, replica, err
}

// call makes one call, if there is room for it and hope for an answer.
func (i *Isolation) call(ctx context.Context, do func() error) error {
	if err := i.bulkhead.AcquirePermit(ctx); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return outcome.New(outcome.Canceled, errors.New("the caller stopped waiting"))
		}
		return outcome.New(outcome.Busy, fmt.Errorf("%d calls to it were under way the whole time, and no more are made at once (maxConcurrentCalls)", i.limit))
	}
	defer i.bulkhead.ReleasePermit()
	if !i.breaker.TryAcquirePermit() {
		why := ""
		if last := i.last.Load(); last != nil {
			why = ": " + *last
		}
		return outcome.New(outcome.BreakerOpen, fmt.Errorf("it is not asked, because it did not answer lately%s", why))
	}
	start := time.Now()
	err := errPanicked
	defer func() { i.learn(err, time.Since(start)) }()
	err = do()
	return err
}

// errPanicked stands for the outcome of a call that never returned.
var errPanicked = error(outcome.New(outcome.Internal, errors.New("asking it panicked")))

// learn tells the breaker what came of a call.
func (i *Isolation) learn(err error, took time.Duration) {
	switch cause := outcome.Of(err); {
	case err == nil || cause == outcome.BackendError:
		i.breaker.RecordSuccess()
	case i.blames(cause, took):
		text := err.Error()
		i.last.Store(&text)
		i.breaker.RecordFailure()
	case i.breaker.IsHalfOpen(): // nothing was learned, and the permit to try must be given back
		i.breaker.RecordFailure()
	}
}

// blames tells whether a failed call speaks against the backend as a whole. An error that it answers with
// does not: it costs no time, and one team's odd objects must not end the service for all.
func (i *Isolation) blames(cause outcome.Cause, took time.Duration) bool {
	switch cause {
	case outcome.Unreachable, outcome.Internal:
		return true
	case outcome.Timeout:
		return took >= patience
	default:
		return false
	}
}
