package mutating

import (
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"

	"github.com/gatefold/gatefold/policy/internal/expression"
)

// options are what p's expressions may see, and what those of its mutations may see besides: the types JSONPatch
// and Object.
func options(p *v1.MutatingAdmissionPolicy) (plain, patches cel.OptionalVariableDeclarations) {
	plain = cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	patches = plain
	patches.HasPatchTypes = true
	return plain, patches
}

// expressions lists p's expressions in the order in which they must be compiled: variables first.
func expressions(p *v1.MutatingAdmissionPolicy) []expression.Expression {
	plain, patches := options(p)
	list := expression.Common(p.Spec.Variables, p.Spec.MatchConditions, plain)
	for i := range p.Spec.Variables {
		list[i].Plain = true
	}
	for i, m := range p.Spec.Mutations {
		at := field.NewPath("spec", "mutations").Index(i)
		switch {
		case m.PatchType == v1.PatchTypeJSONPatch && m.JSONPatch != nil:
			list = append(list, expression.Expression{
				At:       at.Child("jsonPatch", "expression"),
				Accessor: &patch.JSONPatchCondition{Expression: m.JSONPatch.Expression},
				Options:  patches,
				Plain:    true,
			})
		case m.PatchType == v1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			list = append(list, expression.Expression{
				At:       at.Child("applyConfiguration", "expression"),
				Accessor: &patch.ApplyConfigurationCondition{Expression: m.ApplyConfiguration.Expression},
				Options:  patches,
				Plain:    true,
			})
		}
	}
	return list
}

// evaluator evaluates one policy.
type evaluator struct {
	*expression.Compiled

	conditions matchconditions.Matcher // nil: there are none
	mutators   []patch.Patcher         // as the policy's mutations
}

// compile restates compilePolicy of k8s.io/apiserver pkg/admission/plugin/policy/mutating/compilation.go, which
// is not exported.
func compile(c *expression.Compiler, p *v1.MutatingAdmissionPolicy) (evaluator, expression.Uses, field.ErrorList) {
	compiled, errs := c.Compile(expressions(p))
	if len(errs) > 0 {
		return evaluator{}, compiled.Uses, errs
	}
	result := evaluator{Compiled: compiled}
	var conditions []cel.CompilationResult
	for _, r := range compiled.Results {
		switch r.ExpressionAccessor.(type) {
		case *matchconditions.MatchCondition:
			conditions = append(conditions, r)
		case *patch.JSONPatchCondition:
			result.mutators = append(result.mutators, patch.NewJSONPatcher(cel.NewMutatingEvaluator(r)))
		case *patch.ApplyConfigurationCondition:
			result.mutators = append(result.mutators, patch.NewApplyConfigurationPatcher(cel.NewMutatingEvaluator(r)))
		}
	}
	if len(conditions) > 0 {
		result.conditions = matchconditions.NewMatcher(compiled.Conditions(conditions), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return result, compiled.Uses, nil
}
