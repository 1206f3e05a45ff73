package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace/noop"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// foldCase is an object and the mutators behind the gate, in the order of their turns.
type foldCase struct {
	Name     string          `json:"name"`
	Object   json.RawMessage `json:"object"`
	Mutators []*script       `json:"mutators"`
	// Delays are how long the mutators take, in turn.
	Delays []time.Duration `json:"-"`
	// Rounds is what is expected; 0 is not looked at.
	Rounds int `json:"rounds,omitempty"`
	// Want is the object that is expected; without it, what comes of calling the mutators one by one.
	Want json.RawMessage `json:"want,omitempty"`
}

// delay returns the next of the delays.
func (c *foldCase) delay() time.Duration {
	if len(c.Delays) == 0 {
		return 0
	}
	next := c.Delays[0]
	c.Delays = append(c.Delays[1:], next)
	return next
}

// TestFold runs the cases in testdata/folds.yaml: those that explain, and every counterexample that
// TestFoldProperty ever found.
func TestFold(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "folds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []foldCase
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	m := newMatchers(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			serial := serially(&c)
			record, folded := m.fold(t.Context(), &c)
			if diff := differ(serial, record, folded); diff != "" {
				t.Error(diff)
			}
			if c.Want != nil {
				if diff := cmp.Diff(parseTree(c.Want), parseTree(folded)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			if c.Rounds != 0 && record.Rounds != c.Rounds {
				t.Errorf("%d rounds, want %d", record.Rounds, c.Rounds)
			}
		})
	}
}

// TestFoldProperty is the promise: whatever the object and the mutators, what comes out is what calling the
// mutators one after another would come to. To run it long: -rapid.checks=1000000.
func TestFoldProperty(t *testing.T) {
	m := newMatchers(t)
	var cases, changed, rounds, calls int
	rapid.Check(t, func(rt *rapid.T) {
		c := &foldCase{Object: drawObject(rt)}
		for i := range rapid.IntRange(1, 6).Draw(rt, "mutators") {
			c.Mutators = append(c.Mutators, drawScript(rt, fmt.Sprintf("m%d", i)))
			// So that turns meet calls that are not over.
			c.Delays = append(c.Delays, time.Duration(rapid.IntRange(0, 2).Draw(rt, "delay"))*50*time.Microsecond)
		}
		serial := serially(c)
		record, folded := m.fold(t.Context(), c)
		if diff := differ(serial, record, folded); diff != "" {
			rt.Fatalf("%s\nof this case:\n%s", diff, describe(c))
		}
		cases++
		rounds += record.Rounds
		for _, part := range record.Parts {
			calls += part.Asked
			if len(part.Ops) > 0 {
				changed++
			}
		}
	})
	t.Logf("%d cases, in each %.2f changes accepted, %.2f calls, %.2f rounds", cases,
		float64(changed)/float64(cases), float64(calls)/float64(cases), float64(rounds)/float64(cases))
}

// TestFoldTwice: kube-apiserver may call the gate a second time with the gate's own result. Where each mutator
// changes nothing about what it has changed, and no two fight over a value, the gate does not either.
func TestFoldTwice(t *testing.T) {
	m := newMatchers(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := &foldCase{Object: drawObject(rt)}
		for i := range rapid.IntRange(1, 6).Draw(rt, "mutators") {
			s := &script{Name: fmt.Sprintf("m%d", i)}
			for j := range rapid.IntRange(1, 3).Draw(rt, "edits") {
				s.Edits = append(s.Edits, edit{
					Do: "ensure", At: rapid.SampledFrom(objects).Draw(rt, "at"),
					Key: fmt.Sprintf("own-%d-%d", i, j), Value: rapid.SampledFrom(values).Draw(rt, "value"),
				})
			}
			if rapid.Bool().Draw(rt, "all") {
				s.Observes = s.places()
			}
			c.Mutators = append(c.Mutators, s)
		}
		_, once := m.fold(t.Context(), c)
		again := &foldCase{Object: once, Mutators: c.Mutators}
		record, _ := m.fold(t.Context(), again)
		for _, part := range record.Parts {
			if part.Outcome != gatewayv1.Outcome_OUTCOME_ALLOWED {
				rt.Fatalf("%s changes its own result: %v\nof this case:\n%s", part.Backend, part.Ops, describe(c))
			}
		}
	})
}

// outcomes is what calling the mutators one by one comes to.
type outcomes struct {
	parts  []gatewayv1.Outcome
	object any
}

// serially is the oracle: it knows nothing of the fold, and applies patches with kube-apiserver's library.
func serially(c *foldCase) outcomes {
	object := []byte(c.Object)
	var out outcomes
	for _, s := range c.Mutators {
		outcome, next := one(s, object)
		out.parts = append(out.parts, outcome)
		object = next
		if outcome == gatewayv1.Outcome_OUTCOME_DENIED || outcome == gatewayv1.Outcome_OUTCOME_FAILED {
			break
		}
	}
	for len(out.parts) < len(c.Mutators) {
		out.parts = append(out.parts, gatewayv1.Outcome_OUTCOME_SKIPPED)
	}
	out.object = parseTree(object)
	return out
}

func one(s *script, object []byte) (gatewayv1.Outcome, []byte) {
	failed := gatewayv1.Outcome_OUTCOME_FAILED
	if s.Ignore {
		failed = gatewayv1.Outcome_OUTCOME_IGNORED
	}
	if s.Match != "" && get(parseTree(object), []string{"metadata", "labels", s.Match}) == nil {
		return gatewayv1.Outcome_OUTCOME_NOT_MATCHED, object
	}
	resp, _, err := s.Mutate(context.Background(), &admissionv1.MutateRequest{Request: &admissionv1.AdmissionRequest{Object: object}})
	switch {
	case err != nil:
		return failed, object
	case resp.GetDenial() != nil:
		return gatewayv1.Outcome_OUTCOME_DENIED, object
	}
	patched, err := applied(object, resp.GetOperations())
	if err != nil {
		return failed, object
	}
	var decoded metav1.PartialObjectMetadata
	if json.Unmarshal(patched, &decoded) != nil {
		return failed, object
	}
	return gatewayv1.Outcome_OUTCOME_CHANGED, patched
}

// applied applies ops as kube-apiserver does, from their JSON.
func applied(object []byte, ops []*admissionv1.PatchOperation) ([]byte, error) {
	list := []map[string]any{}
	for _, op := range ops {
		o := map[string]any{"op": strings.ToLower(strings.TrimPrefix(op.GetOp().String(), "PATCH_OP_")), "path": op.GetPath()}
		if op.GetFrom() != "" {
			o["from"] = op.GetFrom()
		}
		if len(op.GetValue()) > 0 {
			o["value"] = json.RawMessage(op.GetValue())
		}
		list = append(list, o)
	}
	patch, err := jsonpatch.DecodePatch(encode(list))
	if err != nil {
		return nil, err
	}
	return patch.Apply(object)
}

// differ says where the fold came to something else.
func differ(serial outcomes, record *Record, folded []byte) string {
	var parts []gatewayv1.Outcome
	for _, part := range record.Parts {
		outcome := part.Outcome
		if outcome == gatewayv1.Outcome_OUTCOME_ALLOWED {
			outcome = gatewayv1.Outcome_OUTCOME_CHANGED // the object says whether there was anything to change
		}
		parts = append(parts, outcome)
	}
	if diff := cmp.Diff(serial.parts, parts); diff != "" {
		return "other outcomes (-serial +folded)\n" + diff
	}
	if slices.Contains(parts, gatewayv1.Outcome_OUTCOME_DENIED) || slices.Contains(parts, gatewayv1.Outcome_OUTCOME_FAILED) {
		return ""
	}
	if diff := cmp.Diff(serial.object, parseTree(folded)); diff != "" {
		return "another object (-serial +folded)\n" + diff
	}
	return ""
}

func describe(c *foldCase) string {
	text, err := yaml.Marshal([]*foldCase{c})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// matchers are those of the labels that scripts may ask for.
type matchers map[string]*route.Matcher

func newMatchers(t *testing.T) matchers {
	t.Helper()
	out := matchers{}
	for _, label := range append([]string{""}, labels...) {
		spec := route.Spec{Name: label, Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
		}}}
		if label != "" {
			spec.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: label, Operator: metav1.LabelSelectorOpExists}}}
		}
		matcher, errs := route.NewCompiler().Compile(spec, field.NewPath("test"))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		out[label] = matcher
	}
	return out
}

type unobserved struct{}

func (unobserved) Part(context.Context, *fold.Part) {}

// fold runs the mutators of a case through the pipeline, and applies what comes out as kube-apiserver does.
func (m matchers) fold(ctx context.Context, c *foldCase) (*Record, []byte) {
	plan := &Plan{}
	for _, s := range c.Mutators {
		plan.Mutators = append(plan.Mutators, &Backend{
			Name: s.Name, Required: !s.Ignore, Timeout: 1 << 40, Matcher: m[s.Match], Mutator: delayed{s, c.delay()}, Observed: fold.NewObserved(s.Observes),
		})
	}
	p := &Pipeline{Tracer: noop.NewTracerProvider().Tracer(""), Observer: unobserved{}}
	record := p.Mutate(ctx, plan, thing(c.Object), nil)
	var ops []*admissionv1.PatchOperation
	for _, part := range record.Parts {
		ops = append(ops, part.Ops...)
	}
	out, err := applied(c.Object, ops)
	if err != nil {
		panic(fmt.Sprintf("what the gate answers does not apply: %v\n%v\n%s", err, ops, describe(c)))
	}
	return record, out
}

// thing is the creation of a custom object.
func thing(object json.RawMessage) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		Uid: "u", Operation: admissionv1.Operation_OPERATION_CREATE, Object: object,
		Kind:     &admissionv1.GroupVersionKind{Group: "test.gatefold.dev", Version: "v1", Kind: "Thing"},
		Resource: &admissionv1.GroupVersionResource{Group: "test.gatefold.dev", Version: "v1", Resource: "things"},
	}
}
