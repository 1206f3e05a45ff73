package review

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/cli/internal/render"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

func TestDisagreement(t *testing.T) {
	for name, tc := range map[string]struct {
		op   *admissionv1.PatchOperation
		want string
	}{
		"set":                 {op(admissionv1.PatchOp_PATCH_OP_REPLACE, "/a/b", `1`), "y sets /a/b, which x had set to something else; the later one has its way"},
		"removed":             {op(admissionv1.PatchOp_PATCH_OP_REMOVE, "/a/b", ``), "y removes /a/b, which x had set; the later one has its way"},
		"removed from above":  {op(admissionv1.PatchOp_PATCH_OP_REMOVE, "/a", ``), "y removes /a/b, which x had set; the later one has its way"},
		"replaced from above": {op(admissionv1.PatchOp_PATCH_OP_ADD, "/a", `{}`), "y overwrites /a/b, which x had set; the later one has its way"},
	} {
		t.Run(name, func(t *testing.T) {
			step := &gatewayv1.Step{Backend: "y", Operations: []*admissionv1.PatchOperation{
				op(admissionv1.PatchOp_PATCH_OP_REMOVE, "/a/bc", ``), tc.op, op(admissionv1.PatchOp_PATCH_OP_ADD, "/c", `1`),
			}}
			if got := disagreement(step, &gatewayv1.Conflict{Field: "/a/b", Overruled: "x"}); got != tc.want {
				t.Errorf("says %q", got)
			}
		})
	}
}

func TestRounds(t *testing.T) {
	asked := func(backend string, times int32) *gatewayv1.Step {
		return &gatewayv1.Step{Backend: backend, Asked: times}
	}
	for name, tc := range map[string]struct {
		rounds int
		steps  []*gatewayv1.Step
		want   string
	}{
		"nobody asked":            {0, nil, ""},
		"all at once":             {1, []*gatewayv1.Step{asked("a", 1), asked("b", 1)}, ""},
		"one after another":       {2, []*gatewayv1.Step{asked("a", 1), asked("b", 1)}, "note: pod/x: the mutators took 2 rounds\n"},
		"asked again, who cannot": {3, []*gatewayv1.Step{asked("a", 1), asked("b", 2), asked("c", 3)}, "note: pod/x: the mutators took 3 rounds: earlier ones changed what later ones observe or patch, so the gate asked b 2 times, c 3 times\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Result{Object: parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}`), Rounds: tc.rounds, Steps: tc.steps}
			var b bytes.Buffer
			if err := r.PrintRounds(&b); err != nil || b.String() != tc.want {
				t.Errorf("says %q, %v", b.String(), err)
			}
		})
	}
}

// TestConcernsNobody: a backend that does not count, and would have something to say, is not nobody.
func TestConcernsNobody(t *testing.T) {
	step := func(outcome gatewayv1.Outcome) []*gatewayv1.Step {
		return []*gatewayv1.Step{{Backend: "a", Outcome: outcome}}
	}
	elsewhere, allowed := step(gatewayv1.Outcome_OUTCOME_NOT_MATCHED), step(gatewayv1.Outcome_OUTCOME_ALLOWED)
	for want, r := range map[string]Result{
		"pod/a: allowed\n":                        {Steps: allowed, Shadows: allowed},
		"pod/a: allowed, concerns no backend\n":   {Steps: elsewhere, Shadows: elsewhere},
		"pod/a: allowed, concerns only shadows\n": {Steps: elsewhere, Shadows: allowed},
	} {
		r.Object = parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`)
		var out strings.Builder
		if err := r.PrintVerdict(&out, render.Style{}); err != nil || out.String() != want {
			t.Errorf("%v, %q, want %q", err, out.String(), want)
		}
	}
}
