package validating

import (
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"

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
//
// What it makes of them restates compilePolicy of k8s.io/apiserver
// pkg/admission/plugin/policy/validating/plugin.go, which is not exported: which filters there are.
func compile(c *expression.Compiler, p *v1.ValidatingAdmissionPolicy) (validating.Validator, expression.Uses, field.ErrorList) {
	compiled, errs := c.Compile(expressions(p))
	if len(errs) > 0 {
		return nil, compiled.Uses, errs
	}
	var conditions, validations, annotations []cel.CompilationResult
	// A validation without a messageExpression keeps its place: results are matched by index.
	messages := make([]cel.CompilationResult, len(p.Spec.Validations))
	for _, result := range compiled.Results {
		switch result.ExpressionAccessor.(type) {
		case *matchconditions.MatchCondition:
			conditions = append(conditions, result)
		case *validating.ValidationCondition:
			validations = append(validations, result)
		case *validating.MessageExpressionCondition:
			messages[len(validations)-1] = result
		case *validating.AuditAnnotationCondition:
			annotations = append(annotations, result)
		}
	}
	var matcher matchconditions.Matcher
	if len(conditions) > 0 {
		matcher = matchconditions.NewMatcher(compiled.Conditions(conditions), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return validating.NewValidator(compiled.Conditions(validations), matcher, compiled.Conditions(annotations),
		compiled.Conditions(messages), p.Spec.FailurePolicy, nil), compiled.Uses, nil
}
