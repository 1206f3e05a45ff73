package labels_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// Each expression keeps to the limit of one, and all together to that of a request.
func TestExpressionsShareABudget(t *testing.T) {
	expression := dear(4500)
	var rules []labels.Rule
	for i := range 60 {
		rules = append(rules, labels.Rule{Name: fmt.Sprintf("r%d", i), Set: labels.Set{Annotations: map[string]string{fmt.Sprintf("a%d", i): "${string(" + expression + ")}"}}})
	}
	for count, want := range map[int]string{3: "", len(rules): "the rules' expressions together exceed the cost limit of one request (10000000)"} {
		_, err := mutateWith(t.Context(), t, rules[:count])
		if got := fmt.Sprint(err); (err != nil) != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%d rules: %v, want %q", count, err, want)
		}
	}
}

// An expression that fails has cost something, too: a condition that is false in the end must not make many dear
// ones free.
func TestFailuresCost(t *testing.T) {
	failing := []string{
		dear(4500) + " && [1][1] == 1",
		dear(10000), // more than one may cost
	}
	var conditions []admissionregistrationv1.MatchCondition
	for i := range 60 {
		conditions = append(conditions, admissionregistrationv1.MatchCondition{
			Name: fmt.Sprintf("c%d", i), Expression: failing[i%len(failing)],
		})
	}
	conditions = append(conditions, admissionregistrationv1.MatchCondition{Name: "last", Expression: "false"})
	_, err := mutateWith(t.Context(), t, []labels.Rule{{
		Match: labels.Match{MatchConditions: conditions}, Set: labels.Set{Labels: map[string]string{"a": "b"}},
	}})
	if err == nil || !strings.Contains(err.Error(), "together exceed the cost limit of one request") {
		t.Errorf("%v, want the limit exceeded", err)
	}
}

// dear is true, costs length²/40 (4500: some 500,000; 10000: 2,500,000), and takes no time: a pattern costs what it
// may take at worst, and this one fails at its first character.
func dear(length int) string {
	return fmt.Sprintf("!'%s'.matches('^y%s')", strings.Repeat("x", length), strings.Repeat("z", length))
}

// Whoever asks no longer waits for the answer: nobody goes on computing it.
func TestExpressionsStopWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 300), ",") + "]"
	_, err := mutateWith(ctx, t, []labels.Rule{{Set: labels.Set{Annotations: map[string]string{"a": "${string(" + list + ".all(a, a > 0))}"}}}})
	if err == nil || !strings.Contains(err.Error(), "operation interrupted") {
		t.Errorf("%v, want an interruption", err)
	}
}

func mutateWith(ctx context.Context, t *testing.T, rules []labels.Rule) (*sdk.Mutation, error) {
	t.Helper()
	mutator, err := newMutator(rules)
	if err != nil {
		t.Fatal(err)
	}
	return mutator.Mutate(ctx, &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
		Operation: admissionv1.Operation_OPERATION_CREATE, Object: []byte(`{"metadata":{}}`),
	}})
}
