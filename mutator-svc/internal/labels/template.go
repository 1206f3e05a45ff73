package labels

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	celenvironment "k8s.io/apiserver/pkg/cel/environment"
)

// The variables of an expression.
const (
	varNamespace = "Namespace" // written namespace, see unreserve
	varUser      = "user"
	varObject    = "object"
)

// environment compiles templates. Its functions and its cost limit are kube-apiserver's, so that what is
// known of CEL in admission policies holds here.
type environment struct{ env *cel.Env }

func newEnvironment() (environment, error) {
	texts := apiservercel.NewMapType(apiservercel.StringType, apiservercel.StringType, -1)
	lists := apiservercel.NewListType(apiservercel.StringType, -1)
	namespace := objectType("gatefold.Namespace", map[string]*apiservercel.DeclType{
		"name": apiservercel.StringType, "labels": texts, "annotations": texts,
	})
	user := objectType("gatefold.User", map[string]*apiservercel.DeclType{
		"username": apiservercel.StringType, "uid": apiservercel.StringType, "groups": lists,
		"extra": apiservercel.NewMapType(apiservercel.StringType, lists, -1),
	})
	set, err := celenvironment.MustBaseEnvSet(celenvironment.DefaultCompatibilityVersion()).Extend(
		celenvironment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			DeclTypes:         []*apiservercel.DeclType{namespace, user},
			EnvOptions: []cel.EnvOption{
				cel.Variable(varNamespace, namespace.CelType()),
				cel.Variable(varUser, user.CelType()),
				cel.Variable(varObject, cel.DynType),
			},
		})
	if err != nil {
		return environment{}, fmt.Errorf("setting up CEL: %w", err)
	}
	return environment{set.NewExpressionsEnv()}, nil
}

// objectType declares the members of a variable, so that a misspelt one is found at load.
func objectType(name string, members map[string]*apiservercel.DeclType) *apiservercel.DeclType {
	fields := make(map[string]*apiservercel.DeclField, len(members))
	for name, declType := range members {
		fields[name] = apiservercel.NewDeclField(name, declType, true, nil, nil)
	}
	return apiservercel.NewObjectType(name, fields)
}

// template is a value: text and expressions in turn.
type template []part

// part is text, or an expression.
type part struct {
	text       string
	source     string
	program    cel.Program // nil: text
	references []string    // the variables that the expression reads
}

// fixed returns the value of a template without expressions.
func (t template) fixed() (text string, ok bool) {
	for _, p := range t {
		if p.program != nil {
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
		source, after, err := e.expression(rest)
		if err != nil {
			return nil, field.ErrorList{field.Invalid(at, value, err.Error())}
		}
		p, err := e.compile(source)
		if err != nil {
			return nil, field.ErrorList{field.Invalid(at, "${"+source+"}", err.Error())}
		}
		t = append(t, p)
		value = after
	}
	return t, nil
}

// expression cuts the expression off the front of text. An expression may itself contain "}", in a map
// or a string; CEL's own parser decides which one ends it: the first that leaves a whole expression.
func (e environment) expression(text string) (source, after string, err error) {
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

func (e environment) compile(source string) (part, error) {
	ast, issues := e.env.Compile(unreserve(source))
	if issues.Err() != nil {
		return part{}, problem(issues)
	}
	if output := ast.OutputType(); !output.IsExactType(cel.StringType) && !output.IsExactType(cel.DynType) {
		return part{}, fmt.Errorf("it gives %s, not string; convert it with string(...), or an optional with .orValue(...)", output)
	}
	program, err := e.env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	if err != nil {
		return part{}, err
	}
	p := part{source: source, program: program}
	for _, reference := range ast.NativeRep().ReferenceMap() {
		p.references = append(p.references, reference.Name)
	}
	return p, nil
}

// problem puts what CEL says on one line; its own form draws the expression over three.
func problem(issues *cel.Issues) error {
	var texts []string
	for _, e := range issues.Errors() {
		texts = append(texts, fmt.Sprintf("%s (at character %d)", asWritten(e.Message), e.Location.Column()+1))
	}
	return errors.New(strings.Join(texts, "; "))
}

// eval computes the value. A failure, such as a key that is not there, is an error that names the
// expression: a default has to be written, as in namespace.labels[?"team"].orValue("none").
func (t template) eval(ctx context.Context, s *subject) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.program == nil {
			b.WriteString(p.text)
			continue
		}
		variables, err := s.variables(p.references)
		if err != nil {
			return "", fmt.Errorf("${%s}: %w", p.source, err)
		}
		result, _, err := p.program.ContextEval(ctx, variables)
		if err != nil {
			return "", fmt.Errorf("${%s}: %w", p.source, err)
		}
		text, ok := result.(types.String)
		if !ok {
			return "", fmt.Errorf("${%s} gives %s, not string; convert it with string(...)", p.source, result.Type().TypeName())
		}
		b.WriteString(string(text))
	}
	return b.String(), nil
}
