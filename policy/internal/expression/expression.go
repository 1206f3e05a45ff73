// Package expression compiles the CEL expressions of policies, and says where those stand that do not compile.
package expression

import (
	"errors"
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Expression is one CEL expression of a policy, with the place where it stands.
type Expression struct {
	// At is the place in the object.
	At *field.Path
	// Accessor is the expression itself. A cel.NamedExpressionAccessor is a variable.
	Accessor cel.ExpressionAccessor
	// Options say what it may see.
	Options cel.OptionalVariableDeclarations
	// Stateless: match conditions do not see variables, because kube-apiserver checks them without.
	Stateless bool
}

// Common lists the variables and match conditions of a policy of whatever kind, in the order in which they must
// be compiled.
func Common(variables []v1.Variable, conditions []v1.MatchCondition, options cel.OptionalVariableDeclarations) []Expression {
	spec := field.NewPath("spec")
	var list []Expression
	for i, v := range variables {
		list = append(list, Expression{
			At:       spec.Child("variables").Index(i).Child("expression"),
			Accessor: &validating.Variable{Name: v.Name, Expression: v.Expression},
			Options:  options,
		})
	}
	for i := range conditions {
		list = append(list, Expression{
			At:        spec.Child("matchConditions").Index(i).Child("expression"),
			Accessor:  (*matchconditions.MatchCondition)(&conditions[i]),
			Options:   options,
			Stateless: true,
		})
	}
	return list
}

// Compiler compiles against one CEL environment: that of the apiserver library in use, with everything it
// knows (StoredExpressions), as kube-apiserver compiles the policies it has stored.
type Compiler struct {
	// Environment is that environment.
	Environment *environment.EnvSet

	stateless cel.Compiler
}

// NewCompiler returns a compiler.
func NewCompiler() *Compiler {
	env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	return &Compiler{Environment: env, stateless: cel.NewCompiler(env)}
}

// Uses is what the expressions of a policy look at, of what a request may not carry.
type Uses struct {
	// Namespace: namespaceObject.
	Namespace bool
}

// Check compiles list, variables before those who use them; the errors name every one that does not compile.
func (c *Compiler) Check(list []Expression) (Uses, field.ErrorList) {
	composited, err := cel.NewCompositedCompiler(c.Environment)
	if err != nil {
		return Uses{}, field.ErrorList{field.InternalError(field.NewPath("spec"), err)}
	}
	var uses Uses
	var errs field.ErrorList
	for _, e := range list {
		source := e.Accessor.GetExpression()
		if strings.TrimSpace(source) == "" {
			errs = append(errs, field.Required(e.At, "expression is not specified"))
			continue
		}
		if err := c.compile(composited, e); err != nil {
			errs = append(errs, field.Invalid(e.At, source, err.Error()))
			continue
		}
		names, err := c.identifiers(source)
		if err != nil {
			errs = append(errs, field.InternalError(e.At, err))
			continue
		}
		if slices.Contains(names, cel.AuthorizerVarName) {
			errs = append(errs, field.Forbidden(e.At, "authorizer asks a live API server for permissions, which is not to be had here; apply this policy to the cluster itself"))
		}
		uses.Namespace = uses.Namespace || slices.Contains(names, cel.NamespaceVarName)
	}
	return uses, errs
}

func (c *Compiler) compile(composited *cel.CompositedCompiler, e Expression) error {
	var result cel.CompilationResult
	variable, isVariable := e.Accessor.(cel.NamedExpressionAccessor)
	switch {
	case isVariable:
		result = composited.CompileAndStoreVariable(variable, e.Options, environment.StoredExpressions)
	case e.Stateless:
		result = c.stateless.CompileCELExpression(e.Accessor, e.Options, environment.StoredExpressions)
	default:
		result = composited.CompileCELExpression(e.Accessor, e.Options, environment.StoredExpressions)
	}
	if result.Error != nil {
		return errors.New(result.Error.Detail)
	}
	return nil
}

// identifiers returns the names that source, a valid expression, refers to.
func (c *Compiler) identifiers(source string) ([]string, error) {
	env, err := c.Environment.Env(environment.StoredExpressions)
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	var names []string
	celast.PreOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() == celast.IdentKind {
			names = append(names, strings.TrimPrefix(e.AsIdent(), "."))
		}
	}))
	return names, nil
}
