// Package typecheck holds the expressions of policies against the schemas of what the policies are about: a field
// that no such object has is likely a mistake. Nothing is refused because of it, as in kube-apiserver, whose
// controller writes what it finds into the policy's status.
package typecheck

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	celgo "github.com/google/cel-go/cel"
	celcommon "github.com/google/cel-go/common"
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"

	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
)

// Checker checks expressions. It is for one goroutine.
//
// It restates validating.TypeChecker of k8s.io/apiserver, which would make an environment for each expression and
// each kind, and takes minutes for a few hundred policies.
type Checker struct {
	schemas resolver.SchemaResolver
	kinds   kinds
	envs    map[[2]schema.GroupVersionKind]*typedEnv // by the kind of the object and of the params
}

// NewChecker returns what checks against the built-in kinds, and those that are defined in docs.
func NewChecker(docs []*document.Document) *Checker {
	return &Checker{schemas: newSchemas(docs), kinds: newKinds(docs), envs: map[[2]schema.GroupVersionKind]*typedEnv{}}
}

// Warning is something odd about an expression.
type Warning struct {
	// At is the place of the expression in the object.
	At *field.Path
	// Kinds are the kinds of objects of which it cannot be right: all that the policy is about.
	Kinds []schema.GroupVersionKind
	// Message has the line and column in the expression, and the expression with a mark below. It has several
	// lines.
	Message string
}

// Check checks list, variables before those who use them; all of them compile. What it warns of cannot be right
// for any kind that constraints name: upstream warns for each kind, and so also of expressions that tell the kinds
// apart, and has to leave out variables for that reason. It says nothing where the schema of a kind is not known.
func (c *Checker) Check(list []expression.Expression, constraints *v1.MatchResources, paramKind *v1.ParamKind) []Warning {
	var params schema.GroupVersionKind
	if paramKind != nil {
		params = schema.FromAPIVersionAndKind(paramKind.APIVersion, paramKind.Kind)
	}
	kinds := c.kinds.of(constraints)
	found := make([][]*celcommon.Error, len(list)) // by expression
	for i, kind := range kinds {
		env := c.env(kind, params)
		if env == nil {
			return nil
		}
		clear(env.variables.Fields)
		for j, e := range list {
			output, issues := env.check(e.Accessor.GetExpression())
			if i == 0 {
				found[j] = issues
			}
			found[j] = slices.DeleteFunc(found[j], func(one *celcommon.Error) bool {
				return !slices.ContainsFunc(issues, func(other *celcommon.Error) bool { return same(one, other) })
			})
			if variable, ok := e.Accessor.(cel.NamedExpressionAccessor); ok {
				name := variable.GetName()
				env.variables.Fields[name] = apiservercel.NewDeclField(name, expression.DeclType(output), true, nil, nil)
			}
		}
		if !slices.ContainsFunc(found, func(issues []*celcommon.Error) bool { return len(issues) > 0 }) {
			return nil // nothing is left that could be wrong for all kinds
		}
	}
	var warnings []Warning
	for j, issues := range found {
		if len(issues) == 0 {
			continue
		}
		source := celcommon.NewTextSource(list[j].Accessor.GetExpression())
		var lines []string
		for _, issue := range issues {
			lines = append(lines, issue.ToDisplayString(source))
		}
		warnings = append(warnings, Warning{At: list[j].At, Kinds: kinds, Message: strings.Join(lines, "\n")})
	}
	return warnings
}

func same(a, b *celcommon.Error) bool {
	return a.Location.Line() == b.Location.Line() && a.Location.Column() == b.Location.Column() && a.Message == b.Message
}

// typedEnv is an environment in which objects and params have types.
type typedEnv struct {
	env       *celgo.Env
	variables *apiservercel.DeclType
	right     *regexp.Regexp // complaints that are none
}

// check returns the type of an expression, and what is wrong with it.
func (e *typedEnv) check(source string) (*celgo.Type, []*celcommon.Error) {
	ast, issues := e.env.Compile(source)
	if issues != nil && issues.Err() != nil {
		return nil, slices.DeleteFunc(issues.Errors(), func(issue *celcommon.Error) bool { return e.right.MatchString(issue.Message) })
	}
	return ast.OutputType(), nil
}

// twoPlaces returns what fits the compiler's words about objects of one kind from two places, such as containers and
// init containers that are added: each place in a schema is a type of its own there, and the values do very well together.
func twoPlaces() *regexp.Regexp {
	const place = `(?:list\()?(?:object|params)\.[\w.@-]+\)?`
	return regexp.MustCompile(`^found no matching overload for '_(?:\+|==|!=|\?_:)_' applied to '\((?:bool, )?` + place + `, ` + place + `\)'$` +
		`|^expected type '` + place + `' but found '` + place + `'$`)
}

// env returns the environment for a kind of objects; nil when no schema of them is known.
func (c *Checker) env(kind, params schema.GroupVersionKind) *typedEnv {
	key := [2]schema.GroupVersionKind{kind, params}
	if known, ok := c.envs[key]; ok {
		return known
	}
	var env *typedEnv
	if object := c.declType(kind, "object"); object != nil {
		made, err := newTypedEnv(object, c.declType(params, "params"), params.Kind != "")
		if err == nil { // or the schema is one that CEL does not take: it says nothing then
			env = made
		}
	}
	c.envs[key] = env
	return env
}

func (c *Checker) declType(kind schema.GroupVersionKind, role string) *apiservercel.DeclType {
	if kind.Kind == "" {
		return nil
	}
	found, err := c.schemas.ResolveSchema(kind)
	if err != nil {
		return nil // not known
	}
	decl := common.SchemaDeclType(&openapi.Schema{Schema: found}, true)
	if decl == nil {
		return nil
	}
	// Names of types show in messages.
	return decl.MaybeAssignTypeName(fmt.Sprintf("%s.%s", role, strings.ReplaceAll(kind.Kind, ".", "_")))
}

func newTypedEnv(object, params *apiservercel.DeclType, hasParams bool) (*typedEnv, error) {
	variables := apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{})
	namespace, request := cel.BuildNamespaceType(), cel.BuildRequestType()
	types := []*apiservercel.DeclType{variables, namespace, request, object}
	options := []celgo.EnvOption{
		celgo.Variable(cel.VariableVarName, variables.CelType()),
		celgo.Variable(cel.NamespaceVarName, namespace.CelType()),
		celgo.Variable(cel.RequestVarName, request.CelType()),
		celgo.Variable(cel.ObjectVarName, object.CelType()),
		celgo.Variable(cel.OldObjectVarName, object.CelType()),
		celgo.Variable(cel.AuthorizerVarName, library.AuthorizerType),
		celgo.Variable(cel.RequestResourceAuthorizerVarName, library.ResourceCheckType),
	}
	switch {
	case params != nil:
		types = append(types, params)
		options = append(options, celgo.Variable(cel.ParamsVarName, params.CelType()))
	case hasParams:
		options = append(options, celgo.Variable(cel.ParamsVarName, celgo.DynType))
	}
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(
		environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: options, DeclTypes: types})
	if err != nil {
		return nil, err
	}
	env, err := set.Env(environment.NewExpressions)
	if err != nil {
		return nil, err
	}
	return &typedEnv{env: env, variables: variables, right: twoPlaces()}, nil
}
