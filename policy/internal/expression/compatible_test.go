package expression

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
)

// The results and costs are those of k8s.io/apiserver v0.36.3 with cel-go v0.26.0.
func TestAsIn136(t *testing.T) {
	cases := map[string]struct {
		cost uint64
		err  string // empty: it is true
	}{
		"'0123456789012345678901234'.startsWith('0')":                        {cost: 3},
		"'0'.startsWith('0123456789012345678901234') == false":               {cost: 2},
		"'0123456789012345678901234'.endsWith('4')":                          {cost: 3},
		"'0123456789012345678901234'.matches('0')":                           {cost: 3},
		"matches('0123456789012345678901234', '0.*4.*4')":                    {cost: 1},
		"'abc'.indexOf('', 5) == 5":                                          {cost: 1},
		"'abc'.indexOf('', -1) == -1":                                        {cost: 1},
		"'abc'.lastIndexOf('', 7) == 7":                                      {cost: 1},
		"'äbcabc'.indexOf('bc', 2) == 4 && 'äbc'.indexOf('d', 0) == -1":      {cost: 2},
		"'äbcabc'.indexOf('abcd', 3) == -1 && 'ab'.indexOf('b', 2) == -1":    {cost: 2},
		"'äbcabc'.lastIndexOf('bc', 3) == 1 && 'ab'.lastIndexOf('b', 0) < 0": {cost: 2},
		"'ab'.lastIndexOf('abc', 1) == -1 && 'ab'.lastIndexOf('b', 2) == -1": {cost: 2},
		"'abc'.lastIndexOf('c', 2) == 2":                                     {cost: 1},
		"'abc'.indexOf('c', -1) == 2":                                        {err: "index out of range: -1", cost: 1},
		"lists.range(-1) == []":                                              {cost: 11},
		"lists.range(3) == [0, 1, 2]":                                        {cost: 15},
		"duration(size('abc')) == duration('3s')":                            {err: "type conversion error from 'int' to 'google.protobuf.Duration'", cost: 3},
		"dyn(1).orValue(2) == 1":                                             {cost: 1},
		"optional.of(1).orValue(2) == 1 && optional.none().orValue(2) == 2":  {cost: 4},
		"dyn(optional.none()).orValue(2) == 2":                               {cost: 3},
		"{'a': dyn(1)}.a.orValue(1 / 0) == 1":                                {cost: 3},
		"dyn({}).a.orValue(1) == 1":                                          {err: "no such key: a", cost: 3},
	}
	c := NewCompiler()
	for source, want := range cases {
		t.Run(source, func(t *testing.T) {
			compiled, errs := c.Compile([]Expression{{
				At: field.NewPath("at"), Accessor: &validating.ValidationCondition{Expression: source}, Options: cel.OptionalVariableDeclarations{},
			}})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			value, details, err := compiled.Results[0].Program.Eval(map[string]any{})
			if (err == nil) != (want.err == "") || err != nil && err.Error() != want.err {
				t.Errorf("error: want %q, got %v", want.err, err)
			}
			if err == nil && value.Value() != true {
				t.Errorf("it is %v", value)
			}
			if got := *details.ActualCost(); got != want.cost {
				t.Errorf("cost: want %d, got %d", want.cost, got)
			}
		})
	}
}

// What is wrong is told as if @optionally were not there.
func TestOrValueOfNoOptional(t *testing.T) {
	_, errs := NewCompiler().Compile([]Expression{{
		At: field.NewPath("at"), Accessor: &validating.ValidationCondition{Expression: "1.orValue(2) == 1"}, Options: cel.OptionalVariableDeclarations{},
	}})
	const want = "ERROR: <input>:1:10: found no matching overload for 'orValue' applied to 'int.(int)'\n | 1.orValue(2) == 1\n | .........^"
	if len(errs) != 1 || !strings.Contains(errs[0].Detail, want) {
		t.Errorf("want %q, got %q", want, errs)
	}
}
