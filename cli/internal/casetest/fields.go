package casetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/cli/internal/tree"
)

func (e *Expect) validateFields(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if e.Fields != nil && len(e.Fields) == 0 {
		errs = append(errs, field.Required(path, "write at least one, such as /metadata/labels/app: web"))
	}
	for _, pointer := range slices.Sorted(maps.Keys(e.Fields)) {
		if pointer == "" || !jsontext.Pointer(pointer).IsValid() {
			errs = append(errs, field.Invalid(path, pointer, "write a JSON pointer, such as /spec/containers/0/image; in a name ~ is ~0 and / is ~1, as in /metadata/labels/example.com~1team"))
		}
	}
	return errs
}

// compareFields compares parts of the object that came out with what was wanted, in the order in which that is
// written.
func compareFields(want, got *tree.Node) ([]Failure, error) {
	if want == nil {
		return nil, nil
	}
	var all []Failure
	for _, m := range want.Members {
		value, none := lookUp(got, jsontext.Pointer(m.Name))
		if equal(m.Value, value) || isNull(m.Value) && value == nil {
			continue
		}
		f := Failure{Field: "fields[" + m.Name + "]"}
		var err error
		if value != nil && len(value.Members)+len(value.Items) > 0 && value.Kind == m.Value.Kind {
			f.Diff, err = diff(m.Value, value)
		} else {
			f.Want, err = text(m.Value, "nothing")
			if err == nil {
				f.Got, err = text(value, strings.TrimSuffix("nothing: "+none, ": "))
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// lookUp follows a pointer. Where it leads nowhere, none says how far it came.
func lookUp(n *tree.Node, pointer jsontext.Pointer) (value *tree.Node, none string) {
	var at jsontext.Pointer
	for token := range pointer.Tokens() {
		where := cmp.Or(string(at), "the object")
		switch n.Kind {
		case tree.Object:
			if n = n.Get(token); n == nil {
				return nil, fmt.Sprintf("%s has no %s", where, token)
			}
		case tree.Array:
			i, err := strconv.ParseUint(token, 10, 31)
			if err != nil || strconv.FormatUint(i, 10) != token {
				return nil, fmt.Sprintf("%s is a list, and %q no index", where, token)
			}
			if int(i) >= len(n.Items) {
				return nil, fmt.Sprintf("the length of %s is %d", where, len(n.Items))
			}
			n = n.Items[i]
		default:
			return nil, fmt.Sprintf("%s is %s", where, n.JSON())
		}
		at = at.AppendToken(token)
	}
	return n, ""
}

func isNull(n *tree.Node) bool { return n.Kind == tree.Literal && n.Text == "null" }

// text shows a value as YAML, or says what stands for none.
func text(n *tree.Node, none string) (string, error) {
	if n == nil || isNull(n) {
		return none, nil
	}
	s, err := n.YAML()
	return strings.TrimSuffix(s, "\n"), err
}
