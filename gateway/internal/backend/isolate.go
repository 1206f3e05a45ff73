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
)

// Isolation keeps the troubles of one backend its own: it bounds how many calls are under way to it at once,
// and stops asking it while it does not answer. It is safe for concurrent use, and outlives configurations.
type Isolation struct {
	cfg      IsolationConfig
	bulkhead bulkhead.Bulkhead[any]
	breaker  circuitbreaker.CircuitBreaker[any]
	last     atomic.Pointer[string] // why the last call failed
}

// IsolationConfig says what a backend is given.
type IsolationConfig struct {
	// Limit is how many calls may be under way at once, at least 1.
	Limit int
	// Timeout is the longest one call may take.
	Timeout time.Duration
	// Changed is told when the breaker opens or closes again.
	Changed func(open bool)
}

// NewIsolation returns an isolation whose breaker is closed.
func NewIsolation(cfg IsolationConfig) *Isolation {
	return &Isolation{
		cfg:      cfg,
		bulkhead: bulkhead.New[any](uint(max(cfg.Limit, 1))),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureRateThreshold(breakerRate, breakerCalls, breakerPeriod).
			WithSuccessThreshold(1).
			WithDelay(breakerInterval).
			WithJitterFactor(0.1).
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				switch {
				case e.OldState == circuitbreaker.ClosedState:
					cfg.Changed(true)
				case e.NewState == circuitbreaker.ClosedState:
					cfg.Changed(false)
				}
			}).Build(),
	}
}

// Close says that the isolation is no longer used: a breaker that is open counts as closed.
func (i *Isolation) Close() { i.breaker.Close() }

// Around returns a, isolated.
func (i *Isolation) Around(a Asker) Asker { return isolated{i, a} }

type isolated struct {
	isolation *Isolation
	asker     Asker
}

// Mutate implements Asker.
func (i isolated) Mutate(ctx context.Context, req *admissionv1.MutateRequest) (resp *admissionv1.MutateResponse, replica string, err error) {
	return call(ctx, i.isolation, func(ctx context.Context) (*admissionv1.MutateResponse, string, error) {
		return i.asker.Mutate(ctx, req)
	})
}

// Validate implements Asker.
func (i isolated) Validate(ctx context.Context, req *admissionv1.ValidateRequest) (resp *admissionv1.ValidateResponse, replica string, err error) {
	return call(ctx, i.isolation, func(ctx context.Context) (*admissionv1.ValidateResponse, string, error) {
		return i.asker.Validate(ctx, req)
	})
}

// call makes one call, if there is room for it and hope for an answer.
func call[R any](ctx context.Context, i *Isolation, ask func(context.Context) (R, string, error)) (resp R, replica string, err error) {
	if err := i.bulkhead.AcquirePermit(ctx); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return resp, "", errLeft()
		}
		return resp, "", outcome.New(outcome.Busy, fmt.Errorf("%d calls to it were under way the whole time, and no more are made at once (maxConcurrentCalls)", i.cfg.Limit))
	}
	if !i.breaker.TryAcquirePermit() {
		i.bulkhead.ReleasePermit()
		why := ""
		if last := i.last.Load(); last != nil {
			why = ": " + *last
		}
		return resp, "", outcome.New(outcome.BreakerOpen, fmt.Errorf("it is not asked, because it did not answer lately%s", why))
	}
	if i.breaker.IsHalfOpen() {
		return probe(ctx, i, ask)
	}
	return attempt(ctx, i, ask)
}

// attempt makes a call that was permitted, and learns from it.
func attempt[R any](ctx context.Context, i *Isolation, ask func(context.Context) (R, string, error)) (resp R, replica string, err error) {
	defer i.bulkhead.ReleasePermit()
	start := time.Now()
	err = errPanicked
	defer func() { i.learn(err, time.Since(start)) }()
	return ask(ctx)
}

// probe makes the call that finds out whether the backend is back. It does not end with the caller: whoever
// hangs up early, or leaves little time, must not keep a backend from everybody else.
func probe[R any](ctx context.Context, i *Isolation, ask func(context.Context) (R, string, error)) (resp R, replica string, err error) {
	type answer struct {
		resp    R
		replica string
		err     error
	}
	answered := make(chan answer, 1)
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.cfg.Timeout)
	go func() {
		defer cancel()
		a := answer{err: errPanicked}
		defer func() {
			if recover() != nil {
				a.err = errPanicked
			}
			answered <- a
		}()
		a.resp, a.replica, a.err = attempt(patient, i, ask)
	}()
	select {
	case a := <-answered:
		return a.resp, a.replica, a.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return resp, "", errLeft()
		}
		return resp, "", outcome.New(outcome.Timeout, errors.New("no answer in the time there was"))
	}
}

func errLeft() error { return outcome.New(outcome.Canceled, errors.New("the caller stopped waiting")) }

// errPanicked stands for the outcome of a call that never returned.
var errPanicked = error(outcome.New(outcome.Internal, errors.New("asking it panicked")))

// learn tells the breaker what came of a call. Of what says nothing about the backend it is not told, which a
// probe never comes to: its context ends by the backend's own time alone.
func (i *Isolation) learn(err error, took time.Duration) {
	switch cause := outcome.Of(err); {
	case err == nil || cause == outcome.BackendError:
		i.breaker.RecordSuccess()
	case i.blames(cause, took):
		text := err.Error()
		i.last.Store(&text)
		i.breaker.RecordFailure()
	}
}

// blames tells whether a failed call speaks against the backend as a whole. An error that it answers with
// does not: it costs no time, and one team's odd objects must not end the service for all. Nor does it that
// there was no answer in less than half of the backend's own time: the deadline of a review is the user's to
// choose (?timeout= of the API request).
func (i *Isolation) blames(cause outcome.Cause, took time.Duration) bool {
	switch cause {
	case outcome.Unreachable, outcome.Internal:
		return true
	case outcome.Timeout:
		return took >= i.cfg.Timeout/2
	default:
		return false
	}
}
