package validating

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Variables pay with the expression that uses them first, and once: as upstream's own composition has it, from none
// to more of them than the budget of a policy allows.
func TestVariablesPay(t *testing.T) {
	outOfBudget := 0
	for _, n := range []int{1, 160} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var spec strings.Builder
			// Joining texts pays by their length, and is quick.
			fmt.Fprintf(&spec, "%s\nvariables:\n- {name: text, expression: string(object.metadata.annotations.text)}\n", pods)
			for i := range n {
				fmt.Fprintf(&spec, "- {name: v%d, expression: \"variables.text + variables.text + variables.text + variables.text != ''\"}\n", i)
			}
			spec.WriteString("validations:\n- {expression: \"object.kind == 'x'\", message: 'first', messageExpression: \"'told ' + string(variables.v0)\"}\n")
			for i := range n {
				fmt.Fprintf(&spec, "- {expression: \"variables.v%d && variables.v%d && variables.v0\"}\n", i, i)
			}
			set := bound(t, spec.String())
			r := podRequest(t)
			r.Namespace = ""
			r.Object = fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"text":%q}}}`, strings.Repeat("x", 200_000))
			verdict, err := set.Validate(t.Context(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := decisionHere(verdict)
			if diff := cmp.Diff(evaluators{}.dispatch(t, set, r, nil), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-upstream +here:\n%s", diff)
			}
			if strings.Contains(got.Message, "cost budget") {
				outOfBudget++
			}
		})
	}
	if outOfBudget != 1 {
		t.Errorf("%d of 2 run out of budget: that proves nothing", outOfBudget)
	}
}
