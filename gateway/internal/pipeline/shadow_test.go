package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// slow is a mutator that takes a second, if it is let.
type slow struct{}

func (slow) Mutate(ctx context.Context, _ *admissionv1.MutateRequest) (*admissionv1.MutateResponse, string, error) {
	select {
	case <-time.After(time.Second):
		return &admissionv1.MutateResponse{}, "", nil
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

// told counts what an observer of shadows is told.
type told struct{ answered, failed, missed atomic.Int32 }

func (o *told) Shadow(_ context.Context, _ *admissionv1.AdmissionRequest, part *fold.Part, _ bool) {
	if part.Failure != nil {
		o.failed.Add(1)
	} else {
		o.answered.Add(1)
	}
}

func (o *told) ShadowsMissed(context.Context) { o.missed.Add(1) }

// shadows returns a function that asks one slow shadow about one review.
func shadows(t *testing.T, observer *told) (s *Shadows, ask func()) {
	s = NewShadows(&Pipeline{Tracer: noop.NewTracerProvider().Tracer("")}, observer)
	backends := []*Backend{{Name: "slow", Timeout: time.Minute, Matcher: newMatchers(t)[""], Mutator: slow{}}}
	return s, func() {
		req := &admissionv1.AdmissionRequest{Uid: "1", Object: []byte(`{}`)}
		s.Ask(t.Context(), backends, req, &Record{Document: fold.NewDocument(req.GetObject())}, true, nil)
	}
}

func TestShadowsAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer := &told{}
		s, ask := shadows(t, observer)
		s.Wait(t.Context()) // for nobody
		ask()
		ask()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s.Wait(short)
		if !errors.Is(short.Err(), context.DeadlineExceeded) || observer.answered.Load() != 0 {
			t.Errorf("waited until %v, and heard of %d", short.Err(), observer.answered.Load())
		}
		s.Wait(t.Context())
		if got := observer.answered.Load(); got != 2 {
			t.Errorf("heard of %d, want 2", got)
		}
		s.Close()
	})
}

// TestShadowsClose: what is under way ends at once, and after that the observer hears of nothing.
func TestShadowsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer := &told{}
		s, ask := shadows(t, observer)
		for range maxShadowed + 1 {
			ask()
		}
		s.Close()
		ask()
		s.Wait(t.Context())
		if answered, failed, missed := observer.answered.Load(), observer.failed.Load(), observer.missed.Load(); answered != 0 || failed != maxShadowed || missed != 1 {
			t.Errorf("%d answered, %d failed, %d missed; want none, %d, and 1", answered, failed, missed, maxShadowed)
		}
	})
}

// TestShadowsAtOnce asks, waits and closes at once; it is for the race detector.
func TestShadowsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ask := shadows(t, &told{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(ask)
			all.Go(func() { s.Wait(t.Context()) })
		}
		all.Go(s.Close)
		all.Wait()
	})
}

// panicking is a matcher that should not be.
type panicking struct{}

func (panicking) Match(context.Context, *route.View) (bool, error) { panic("at the disco") }

func (panicking) ReadsObject() bool { return false }

// TestShadowsPanic: what goes wrong about a shadow is that shadow's failure; above it nobody recovers.
func TestShadowsPanic(t *testing.T) {
	observer := &told{}
	s := NewShadows(&Pipeline{Tracer: noop.NewTracerProvider().Tracer("")}, observer)
	req := &admissionv1.AdmissionRequest{Uid: "1", Object: []byte(`{}`)}
	s.Ask(t.Context(), []*Backend{
		{Name: "matcher", Timeout: time.Minute, Matcher: panicking{}, Mutator: slow{}},
		{Name: "mutator", Timeout: time.Minute, Matcher: newMatchers(t)[""], Mutator: (*script)(nil)},
	}, req, &Record{Document: fold.NewDocument(req.GetObject())}, true, nil)
	s.Wait(t.Context())
	s.Close()
	if got := observer.failed.Load(); got != 2 {
		t.Errorf("%d have failed, want 2", got)
	}
}
