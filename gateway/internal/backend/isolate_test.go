package backend

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// fake answers after a time, unless it hangs.
type fake struct {
	takes time.Duration
	hangs atomic.Bool
	calls atomic.Int64
}

// Mutate implements Asker.
func (f *fake) Mutate(ctx context.Context, _ *admissionv1.MutateRequest) (*admissionv1.MutateResponse, string, error) {
	f.calls.Add(1)
	answer := time.After(f.takes)
	if f.hangs.Load() {
		answer = nil
	}
	select {
	case <-answer:
		return &admissionv1.MutateResponse{}, "", nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, "", outcome.New(outcome.Canceled, ctx.Err())
		}
		return nil, "", outcome.New(outcome.Timeout, ctx.Err())
	}
}

// Validate implements Asker.
func (f *fake) Validate(context.Context, *admissionv1.ValidateRequest) (*admissionv1.ValidateResponse, string, error) {
	panic("at the disco")
}

func ask(a Asker, patience time.Duration) outcome.Cause {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _, err := a.Mutate(ctx, nil)
	if err == nil {
		return ""
	}
	return outcome.Of(err)
}

// all asks n times at once and returns the causes.
func all(n int, ask func() outcome.Cause) map[outcome.Cause]int {
	var mu sync.Mutex
	causes := map[outcome.Cause]int{}
	var waiting sync.WaitGroup
	for range n {
		waiting.Go(func() {
			cause := ask()
			mu.Lock()
			defer mu.Unlock()
			causes[cause]++
		})
	}
	waiting.Wait()
	return causes
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		f := &fake{takes: 30 * time.Millisecond}
		a := NewIsolation(IsolationConfig{Limit: 100, Timeout: 2 * time.Second, Changed: open.Store}).Around(f)

		f.hangs.Store(true)
		if got := all(20, func() outcome.Cause { return ask(a, 500*time.Millisecond) }); got[outcome.Timeout] != 20 || open.Load() {
			t.Fatalf("impatient users: %v; the breaker is open: %t", got, open.Load())
		}
		time.Sleep(breakerPeriod)
		if got := all(20, func() outcome.Cause { return ask(a, 2*time.Second) }); got[outcome.Timeout] != 20 || !open.Load() {
			t.Fatalf("a backend that hangs: %v; the breaker is open: %t", got, open.Load())
		}
		before := f.calls.Load()
		if got := all(10, func() outcome.Cause { return ask(a, 2*time.Second) }); got[outcome.BreakerOpen] != 10 || f.calls.Load() != before {
			t.Fatalf("while it is open: %v, %d calls", got, f.calls.Load()-before)
		}

		// It is back, and the one who happens to find out hangs up at once.
		f.hangs.Store(false)
		time.Sleep(2 * breakerInterval)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { time.Sleep(5 * time.Millisecond); cancel() }()
		if _, _, err := a.Mutate(ctx, nil); outcome.Of(err) != outcome.Canceled {
			t.Fatalf("who hangs up gets %v", err)
		}
		time.Sleep(50 * time.Millisecond)
		if got := ask(a, time.Second); got != "" || open.Load() {
			t.Fatalf("it is back: %s; the breaker is open: %t", got, open.Load())
		}
	})
}

func TestBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: 400 * time.Millisecond}
		a := NewIsolation(IsolationConfig{Limit: 2, Timeout: 5 * time.Second, Changed: func(bool) {}}).Around(f)
		if got := all(4, func() outcome.Cause { return ask(a, time.Second) }); got[""] != 4 {
			t.Errorf("those who can wait: %v", got)
		}
		if got := all(8, func() outcome.Cause { return ask(a, time.Second) }); got[""] != 4 || got[outcome.Busy]+got[outcome.Timeout] != 4 {
			t.Errorf("more than can be served in time: %v", got)
		}
	})
}

// TestPanic: a panic takes no permit with it.
func TestPanic(t *testing.T) {
	a := NewIsolation(IsolationConfig{Limit: 1, Timeout: time.Second, Changed: func(bool) {}}).Around(&fake{})
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			_, _, _ = a.Validate(t.Context(), nil)
		}()
	}
	if got := ask(a, time.Second); got != "" {
		t.Errorf("afterwards: %s", got)
	}
}
