package policy

import (
	"fmt"
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

// expression is one CEL expression of a policy, with the place where it stands.
type expression struct {
	at       *field.Path
	accessor cel.ExpressionAccessor
	options  cel.OptionalVariableDeclarations
	// stateless: match conditions do not see variables, because kube-apiserver checks them without.
	stateless bool
}

// expressions lists p's expressions in the order in which they must be compiled: variables first.
func expressions(p *v1.ValidatingAdmissionPolicy) []expression {
	var list []expression
	spec := field.NewPath("spec")
	plain := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}
	// kube-apiserver declares the authorizer everywhere but in messages.
	full := plain
	full.HasAuthorizer = true
	for i, v := range p.Spec.Variables {
		list = append(list, expression{
			spec.Child("variables").Index(i).Child("expression"),
			&validating.Variable{Name: v.Name, Expression: v.Expression}, full, false,
		})
	}
	for i := range p.Spec.MatchConditions {
		list = append(list, expression{
			spec.Child("matchConditions").Index(i).Child("expression"),
			(*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i]), full, true,
		})
	}
	for i, v := range p.Spec.Validations {
		at := spec.Child("validations").Index(i)
		list = append(list, expression{at.Child("expression"), &validating.ValidationCondition{
			Expression: v.Expression, Message: v.Message, Reason: v.Reason,
		}, full, false})
		if v.MessageExpression != "" {
			list = append(list, expression{
				at.Child("messageExpression"),
				&validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, plain, false,
			})
		}
	}
	for i, a := range p.Spec.AuditAnnotations {
		list = append(list, expression{
			spec.Child("auditAnnotations").Index(i).Child("valueExpression"),
			&validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression}, full, false,
		})
	}
	return list
}

// compiler compiles policies against one CEL environment: that of the apiserver library in use, with
// everything it knows (StoredExpressions), as kube-apiserver compiles the policies it has stored.
type compiler struct {
	environment *environment.EnvSet
	stateless   cel.Compiler
}

func newCompiler() *compiler {
	env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	return &compiler{environment: env, stateless: cel.NewCompiler(env)}
}

// compiled is a policy ready to be evaluated.
type compiled struct {
	validator validating.Validator
	// namespaced: an expression reads namespaceObject.
	namespaced bool
}

// compile compiles all of p's expressions; the errors name every one that does not compile.
func (c *compiler) compile(p *v1.ValidatingAdmissionPolicy) (compiled, field.ErrorList) {
	composited, err := cel.NewCompositedCompiler(c.environment)
	if err != nil {
		return compiled{}, field.ErrorList{field.InternalError(field.NewPath("spec"), err)}
	}
	var out compiled
	var errs field.ErrorList
	for _, e := range expressions(p) {
		source := e.accessor.GetExpression()
		if strings.TrimSpace(source) == "" {
			errs = append(errs, field.Required(e.at, "expression is not specified"))
			continue
		}
		var result cel.CompilationResult
		variable, isVariable := e.accessor.(cel.NamedExpressionAccessor)
		switch {
		case isVariable:
			result = composited.CompileAndStoreVariable(variable, e.options, environment.StoredExpressions)
		case e.stateless:
			result = c.stateless.CompileCELExpression(e.accessor, e.options, environment.StoredExpressions)
		default:
			result = composited.CompileCELExpression(e.accessor, e.options, environment.StoredExpressions)
		}
		if result.Error != nil {
			errs = append(errs, field.Invalid(e.at, source, result.Error.Detail))
			continue
		}
		names, err := c.identifiers(source)
		if err != nil {
			errs = append(errs, field.InternalError(e.at, err))
			continue
		}
		if slices.Contains(names, cel.AuthorizerVarName) {
			errs = append(errs, field.Forbidden(e.at, "authorizer asks a live API server for permissions, which is not to be had here; apply this policy to the cluster itself"))
		}
		out.namespaced = out.namespaced || slices.Contains(names, cel.NamespaceVarName)
	}
	if len(errs) > 0 {
		return compiled{}, errs
	}
	out.validator, err = c.validator(p)
	if err != nil {
		return compiled{}, field.ErrorList{field.InternalError(field.NewPath("spec"), err)}
	}
	return out, nil
}

// validator restates compilePolicy of k8s.io/apiserver pkg/admission/plugin/policy/validating/plugin.go,
// which is not exported: which filters there are, and what each may see.
func (c *compiler) validator(p *v1.ValidatingAdmissionPolicy) (validating.Validator, error) {
	composited, err := cel.NewCompositedCompiler(c.environment)
	if err != nil {
		return nil, err
	}
	full := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	plain := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}

	var conditions, validations, annotations []cel.ExpressionAccessor
	// A validation without a messageExpression keeps its place as nil: results are matched by index.
	messages := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	for _, e := range expressions(p) {
		switch accessor := e.accessor.(type) {
		case *validating.Variable:
			if r := composited.CompileAndStoreVariable(accessor, full, environment.StoredExpressions); r.Error != nil {
				return nil, fmt.Errorf("compiling variable %s: %w", accessor.Name, r.Error)
			}
		case *matchconditions.MatchCondition:
			conditions = append(conditions, accessor)
		case *validating.ValidationCondition:
			validations = append(validations, accessor)
		case *validating.MessageExpressionCondition:
			messages[len(validations)-1] = accessor
		case *validating.AuditAnnotationCondition:
			annotations = append(annotations, accessor)
		}
	}
	compile := func(list []cel.ExpressionAccessor, options cel.OptionalVariableDeclarations) cel.ConditionEvaluator {
		return composited.CompileCondition(list, options, environment.StoredExpressions)
	}
	var matcher matchconditions.Matcher
	if len(conditions) > 0 {
		matcher = matchconditions.NewMatcher(compile(conditions, full), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return validating.NewValidator(compile(validations, full), matcher, compile(annotations, full),
		compile(messages, plain), p.Spec.FailurePolicy, nil), nil
}

// identifiers returns the names that source, a valid expression, refers to.
func (c *compiler) identifiers(source string) ([]string, error) {
	env, err := c.environment.Env(environment.StoredExpressions)
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
