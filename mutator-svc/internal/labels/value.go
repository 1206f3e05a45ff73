package labels

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// expression is a CEL expression ready to be evaluated.
type expression struct {
	source     string
	program    cel.Program
	references []string // the variables that the expression reads
}

// compile refuses an expression that cannot give the wanted type, with the advice of what to do.
func (e environment) compile(source string, want *cel.Type, advice string) (expression, error) {
	ast, issues := e.env.Compile(unreserve(source))
	if issues.Err() != nil {
		return expression{}, problem(issues)
	}
	if output := ast.OutputType(); !output.IsExactType(want) && !output.IsExactType(cel.DynType) {
		return expression{}, fmt.Errorf("it gives %s, not %s; %s", output, want, advice)
	}
	program, err := e.env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	if err != nil {
		return expression{}, err
	}
	out := expression{source: source, program: program}
	for _, reference := range ast.NativeRep().ReferenceMap() {
		out.references = append(out.references, reference.Name)
	}
	return out, nil
}

var errBudget = fmt.Errorf("the rules' expressions together exceed the cost limit of one request (%d)", celconfig.RuntimeCELCostBudget)

// eval takes what it costs, also where it fails, off the budget that all expressions of a request share. Once that
// is spent, every expression fails. object says which object the variable of that name is.
func (e *expression) eval(ctx context.Context, s *subject, object which) (ref.Val, error) {
	if s.cost > celconfig.RuntimeCELCostBudget {
		return nil, errBudget
	}
	variables, err := s.variables(e.references, object)
	if err != nil {
		return nil, err
	}
	result, details, err := e.program.ContextEval(ctx, variables)
	if cost := details.ActualCost(); cost != nil {
		s.cost += *cost
	}
	if err == nil && s.cost > celconfig.RuntimeCELCostBudget {
		err = errBudget
	}
	return result, err
}

// problem puts what CEL says on one line; its own form draws the expression over three.
func problem(issues *cel.Issues) error {
	var texts []string
	for _, e := range issues.Errors() {
		texts = append(texts, fmt.Sprintf("%s (at character %d)", asWritten(e.Message), e.Location.Column()+1))
	}
	return errors.New(strings.Join(texts, "; "))
}

// template is a value: text and expressions in turn.
type template []part

// part is text, or an expression.
type part struct {
	text       string
	expression *expression // nil: text
}

// fixed returns the value of a template without expressions.
func (t template) fixed() (text string, ok bool) {
	for _, p := range t {
		if p.expression != nil {
			return "", false
		}
		text += p.text
	}
	return text, true
}

// compileTemplate reads "text ${expression} text"; at is where it stands.
func (e environment) compileTemplate(value string, at *field.Path) (template, field.ErrorList) {
	var t template
	for value != "" {
		text, rest, found := strings.Cut(value, "${")
		if !found {
			return append(t, part{text: text}), nil
		}
		if strings.HasSuffix(text, "$") {
			t = append(t, part{text: text + "{"}) // "$${": the first "$" of it is in text
			value = rest
			continue
		}
		if text != "" {
			t = append(t, part{text: text})
		}
		source, after, err := e.cut(rest)
		if err != nil {
			return nil, field.ErrorList{field.Invalid(at, value, err.Error())}
		}
		compiled, err := e.compile(source, cel.StringType, "convert it with string(...), or an optional with .orValue(...)")
		if err != nil {
			return nil, field.ErrorList{field.Invalid(at, "${"+source+"}", err.Error())}
		}
		t = append(t, part{expression: &compiled})
		value = after
	}
	return t, nil
}

// cut cuts the expression off the front of text. An expression may itself contain "}", in a map
// or a string; CEL's own parser decides which one ends it: the first that leaves a whole expression.
func (e environment) cut(text string) (source, after string, err error) {
	for i := range len(text) {
		if text[i] != '}' {
			continue
		}
		_, issues := e.env.Parse(unreserve(text[:i]))
		if issues.Err() == nil {
			return text[:i], text[i+1:], nil
		}
		if err == nil {
			// Of the shortest candidate: it has the least of what follows in it.
			err = problem(issues)
		}
	}
	if err == nil {
		err = errors.New("${ without }; close the expression, or write $${ for the two characters themselves")
	}
	return "", "", err
}

// eval computes the value. A failure, such as a key that is not there, is an error that names the
// expression: a default has to be written, as in namespace.labels[?"team"].orValue("none").
func (t template) eval(ctx context.Context, s *subject) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.expression == nil {
			b.WriteString(p.text)
			continue
		}
		result, err := p.expression.eval(ctx, s, asItIs)
		if err != nil {
			return "", fmt.Errorf("${%s}: %w", p.expression.source, err)
		}
		text, ok := result.(types.String)
		if !ok {
			return "", fmt.Errorf("${%s} gives %s, not string; convert it with string(...)", p.expression.source, result.Type().TypeName())
		}
		b.WriteString(string(text))
	}
	return b.String(), nil
}
