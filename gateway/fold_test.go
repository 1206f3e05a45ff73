package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/gateway"
)

// TestAttribution follows who changed what: in the decision, and in the audit annotation, which says the same
// whenever the same is decided.
func TestAttribution(t *testing.T) {
	team := mutator("b-team")
	team.Observes = []string{"/metadata/labels/team"}
	g := start(t, "h2", []gateway.Backend{mutator("a-first"), team, after(mutator("c-other-team"), "b-team"), after(mutator("d-nothing"), "c-other-team")}, services{
		mutators: map[string]sdk.Mutator{
			"a-first": label("first", "1"), "b-team": label("team", "b"), "c-other-team": label("team", "c"),
			"d-nothing": sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) { return nil, nil }),
		},
	})
	const changes = `{"a-first":["/metadata/labels/first"],"b-team":["/metadata/labels/team"],"c-other-team":["/metadata/labels/team"]}`
	for range 2 {
		got := g.post(t, "/mutate", recorded(t, "005-*"))
		if got.code != http.StatusOK || got.review.Response.AuditAnnotations["changes"] != changes {
			t.Fatalf("answered %d %s; audit annotations are %v", got.code, got.text, got.review.Response.AuditAnnotations)
		}
		decision := g.decision(t)
		var story []string
		for _, step := range decision.GetSteps() {
			line := fmt.Sprintf("%s asked %d changed %v", step.GetBackend(), step.GetAsked(), step.GetChanged())
			for _, c := range step.GetConflicts() {
				line += fmt.Sprintf(" overrules %s of %s", c.GetField(), c.GetOverruled())
			}
			if step.GetPeer() == "" || step.GetDuration().AsDuration() <= 0 {
				line += " but nobody knows where or in what time"
			}
			story = append(story, line)
		}
		want := []string{
			"a-first asked 1 changed [/metadata/labels/first]",
			"b-team asked 1 changed [/metadata/labels/team]",
			"c-other-team asked 2 changed [/metadata/labels/team] overrules /metadata/labels/team of b-team",
			"d-nothing asked 3 changed []",
		}
		if diff := cmp.Diff(want, story); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if decision.GetRounds() != 3 { // one for each change that somebody after it could see, and the first
			t.Errorf("%d rounds, want 3", decision.GetRounds())
		}
	}
}

// TestOneBadOfEight: whatever ails one backend, the changes of the other seven arrive, and once it is known not
// to answer, nobody waits for it any more.
func TestOneBadOfEight(t *testing.T) {
	bad := map[string]sdk.Mutator{
		"hangs":   sdk.MutatorFunc(func(ctx context.Context, _ *sdk.Request) (*sdk.Mutation, error) { <-ctx.Done(); return nil, ctx.Err() }),
		"crashes": sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) { panic("at the disco") }),
		"garbage": patches("/spec/containers/0/env", "no list"),
		"greedy":  patches("/spec/padding", strings.Repeat("x", 2<<20)),
		"slow": sdk.MutatorFunc(func(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
			time.Sleep(50 * time.Millisecond)
			return label("slow", "yes").Mutate(ctx, r)
		}),
	}
	for name, mutate := range bad {
		t.Run(name, func(t *testing.T) {
			s := services{mutators: map[string]sdk.Mutator{"m3-" + name: mutate}}
			backends := []gateway.Backend{ignored(timeout(mutator("m3-"+name), 1))}
			want := map[string]string{}
			for i := range 7 {
				own := fmt.Sprintf("m%d-good", i)
				s.mutators[own] = label(own, "yes")
				b := timeout(mutator(own), 30)
				b.Observes = []string{"/metadata/labels/" + own}
				backends = append(backends, b)
				want[own] = "yes"
			}
			g := start(t, "h2", backends, s)
			post := func() (took time.Duration) {
				begun := time.Now()
				got := g.post(t, "/mutate?timeout=30s", recorded(t, "005-*"))
				took = time.Since(begun)
				if got.code != http.StatusOK || !got.review.Response.Allowed {
					t.Errorf("answered %d %s", got.code, got.text)
					return took
				}
				var ops []struct{ Path, Value any }
				if err := json.Unmarshal(got.review.Response.Patch, &ops); err != nil {
					t.Fatal(err)
				}
				labels := map[string]string{}
				for _, op := range ops {
					if own := strings.TrimPrefix(op.Path.(string), "/metadata/labels/"); own != "slow" {
						labels[own], _ = op.Value.(string)
					}
				}
				if diff := cmp.Diff(want, labels); diff != "" {
					t.Fatalf("labels (-want +got)\n%s", diff)
				}
				if warned := strings.Join(got.review.Response.Warnings, ""); (name == "slow") == strings.Contains(warned, `"m3-`+name+`" failed and was ignored`) {
					t.Fatalf("warnings: %s", warned)
				}
				return took
			}
			if name != "hangs" {
				post()
				return
			}
			// It costs its own time until it is known.
			var first sync.WaitGroup
			for range 20 {
				first.Go(func() { post() })
			}
			first.Wait()
			// One call a second finds out whether it is back, and waits.
			if took := min(post(), post(), post()); took > 800*time.Millisecond {
				t.Errorf("all reviews still wait for it: %s", took)
			}
		})
	}
}

// TestShadow: what a shadow would do is recorded, and the answer is as if it were not there.
func TestShadow(t *testing.T) {
	shadow := func(b gateway.Backend) gateway.Backend {
		b.Mode = gateway.Shadow
		return b
	}
	s := services{
		mutators: map[string]sdk.Mutator{
			"live": label("a", "1"), "agrees": label("a", "1"), "other": label("a", "2"), "spoils": patches("/spec/containers/0/env", "x"),
			"hangs": sdk.MutatorFunc(func(ctx context.Context, _ *sdk.Request) (*sdk.Mutation, error) { <-ctx.Done(); return nil, ctx.Err() }),
		},
		validators: map[string]sdk.Validator{"yes": allow(), "no": refuse("it is red")},
	}
	g := start(t, "h2", []gateway.Backend{
		mutator("live"), shadow(mutator("agrees")), shadow(mutator("other")), shadow(mutator("spoils")), shadow(mutator("hangs")),
		validator("yes"), shadow(validator("no")),
	}, s)
	begun := time.Now()
	got := g.post(t, "/mutate", recorded(t, "005-*"))
	if want := `[{"op":"add","path":"/metadata/labels/a","value":"1"}]`; got.code != http.StatusOK || string(got.review.Response.Patch) != want || len(got.review.Response.Warnings) > 0 {
		t.Errorf("answered %d %s %s %q", got.code, got.text, got.review.Response.Patch, got.review.Response.Warnings)
	}
	if got = g.post(t, "/validate", recorded(t, "005-*")); got.code != http.StatusOK || !got.review.Response.Allowed {
		t.Errorf("answered %d %s", got.code, got.text)
	}
	if took := time.Since(begun); took > 4*time.Second { // a shadow has five seconds
		t.Errorf("the shadows cost the live ones %s", took)
	}
	for _, want := range []string{
		`gatefold_shadow_duration_seconds_count{backend="agrees",outcome="allowed",verdict="allowed"} 1`,
		`gatefold_shadow_duration_seconds_count{backend="other",outcome="changed",verdict="allowed"} 1`,
		`gatefold_shadow_duration_seconds_count{backend="spoils",outcome="failed",verdict="allowed"} 1`,
		`gatefold_shadow_duration_seconds_count{backend="no",outcome="denied",verdict="allowed"} 1`,
		`gatefold_shadow_differences_total{backend="other",field="/metadata/labels"} 1`,
	} {
		g.awaitMetric(t, want)
	}
	for _, step := range g.decision(t).GetSteps() {
		if step.GetBackend() != "yes" && step.GetBackend() != "live" {
			t.Errorf("%s is part of the decision", step.GetBackend())
		}
	}
	told := map[string]string{}
	for range 4 { // of "hangs" nothing is known yet
		step := <-g.shadows
		told[step.GetBackend()] = fmt.Sprintf("%s%v", step.GetOutcome(), step.GetChanged())
	}
	want := map[string]string{
		"agrees": "OUTCOME_ALLOWED[]", "other": "OUTCOME_CHANGED[/metadata/labels/a]", "spoils": "OUTCOME_FAILED[]", "no": "OUTCOME_DENIED[]",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("of shadows was told (-want +got)\n%s", diff)
	}
}
