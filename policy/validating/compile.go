package validating

import (
	"fmt"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/gatefold/gatefold/policy/internal/expression"
)

// expressions lists p's expressions in the order in which they must be compiled: variables first.
func expressions(p *v1.ValidatingAdmissionPolicy) []expression.Expression {
	spec := field.NewPath("spec")
	plain := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}
	// kube-apiserver declares the authorizer everywhere but in messages.
	full := plain
	full.HasAuthorizer = true

	list := expression.Common(p.Spec.Variables, p.Spec.MatchConditions, full)
	for i, v := range p.Spec.Validations {
		at := spec.Child("validations").Index(i)
		list = append(list, expression.Expression{
			At:       at.Child("expression"),
			Accessor: &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason},
			Options:  full,
		})
		if v.MessageExpression != "" {
			list = append(list, expression.Expression{
				At:       at.Child("messageExpression"),
				Accessor: &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression},
				Options:  plain,
			})
		}
	}
	for i, a := range p.Spec.AuditAnnotations {
		list = append(list, expression.Expression{
			At:       spec.Child("auditAnnotations").Index(i).Child("valueExpression"),
			Accessor: &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression},
			Options:  full,
		})
	}
	return list
}

// compile compiles all of p's expressions; the errors name every one that does not compile.
func compile(c *expression.Compiler, p *v1.ValidatingAdmissionPolicy) (validating.Validator, expression.Uses, field.ErrorList) {
	uses, errs := c.Check(expressions(p))
	if len(errs) > 0 {
		return nil, uses, errs
	}
	v, err := validator(c, p)
	if err != nil {
		return nil, uses, field.ErrorList{field.InternalError(field.NewPath("spec"), err)}
	}
	return v, uses, nil
}

// validator restates compilePolicy of k8s.io/apiserver pkg/admission/plugin/policy/validating/plugin.go,
// which is not exported: which filters there are, and what each may see.
func validator(c *expression.Compiler, p *v1.ValidatingAdmissionPolicy) (validating.Validator, error) {
	composited, err := cel.NewCompositedCompiler(c.Environment)
	if err != nil {
		return nil, err
	}
	full := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	plain := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}

	var conditions, validations, annotations []cel.ExpressionAccessor
	// A validation without a messageExpression keeps its place as nil: results are matched by index.
	messages := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	for _, e := range expressions(p) {
		switch accessor := e.Accessor.(type) {
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
