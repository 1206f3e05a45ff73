package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
)

// delayed is a mutator that takes its time.
type delayed struct {
	Mutator

	takes time.Duration
}

// Mutate implements Mutator.
func (s delayed) Mutate(ctx context.Context, req *admissionv1.MutateRequest) (*admissionv1.MutateResponse, string, error) {
	if s.takes == 0 {
		return s.Mutator.Mutate(ctx, req)
	}
	select {
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-time.After(s.takes):
		return s.Mutator.Mutate(ctx, req)
	}
}

// TestParallel: sixteen mutators that have nothing to do with each other take one round, and no longer than the
// slowest of them. The clock is synctest's, so the time is exact.
func TestParallel(t *testing.T) {
	m := newMatchers(t)
	for name, test := range map[string]struct {
		observes bool
		rounds   int
		took     time.Duration
	}{
		"they say what they observe":        {observes: true, rounds: 1, took: 20 * time.Millisecond},
		"they may depend on each other all": {rounds: 16, took: 320 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan := &Plan{}
				for i := range 16 {
					key := fmt.Sprintf("own-%d", i)
					s := &script{Name: key, Edits: []edit{{Do: "ensure", At: "/metadata/labels", Key: key, Value: "1"}}}
					if test.observes {
						s.Observes = s.places()
					}
					plan.Mutators = append(plan.Mutators, &Backend{
						Name: key, Required: true, Timeout: 5 * time.Second, Matcher: m[""],
						Mutator: delayed{s, 20 * time.Millisecond}, Observed: fold.NewObserved(s.Observes),
					})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				p := &Pipeline{Tracer: noop.NewTracerProvider().Tracer(""), Observer: unobserved{}}
				begun := time.Now()
				record := p.Mutate(ctx, plan, thing(json.RawMessage(`{"metadata":{"name":"x"}}`)), nil)
				if took := time.Since(begun); took != test.took || record.Rounds != test.rounds {
					t.Errorf("%d rounds in %s, want %d in %s", record.Rounds, took, test.rounds, test.took)
				}
				for _, part := range record.Parts {
					if part.Outcome != gatewayv1.Outcome_OUTCOME_CHANGED {
						t.Errorf("%s: %s %v", part.Backend, part.Outcome, part.Failure)
					}
				}
			})
		})
	}
}

// TestHangs: who hangs is waited for no longer than its share, and leaves those after it room to be asked again.
func TestHangs(t *testing.T) {
	m := newMatchers(t)
	synctest.Test(t, func(t *testing.T) {
		never := &Backend{Name: "never", Timeout: 30 * time.Second, Matcher: m[""], Mutator: delayed{&script{}, time.Hour}}
		change := func(name, key string) *Backend {
			return &Backend{
				Name: name, Required: true, Timeout: 30 * time.Second, Matcher: m[""],
				Mutator: delayed{&script{Edits: []edit{{Do: "set", At: "/metadata/labels", Key: key, Value: "1"}}}, time.Second},
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		p := &Pipeline{Tracer: noop.NewTracerProvider().Tracer(""), Observer: unobserved{}}
		record := p.Mutate(ctx, &Plan{Mutators: []*Backend{change("a", "a"), never, change("z", "z")}}, thing(json.RawMessage(`{"metadata":{"name":"x"}}`)), nil)
		want := []gatewayv1.Outcome{gatewayv1.Outcome_OUTCOME_CHANGED, gatewayv1.Outcome_OUTCOME_IGNORED, gatewayv1.Outcome_OUTCOME_CHANGED}
		for i, part := range record.Parts {
			if part.Outcome != want[i] {
				t.Errorf("%s: %s %v", part.Backend, part.Outcome, part.Failure)
			}
		}
	})
}
