package mutating

import (
	"fmt"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

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
	for i, m := range p.Spec.Mutations {
		at := field.NewPath("spec", "mutations").Index(i)
		switch {
		case m.PatchType == v1.PatchTypeJSONPatch && m.JSONPatch != nil:
			list = append(list, expression.Expression{
				At:       at.Child("jsonPatch", "expression"),
				Accessor: &patch.JSONPatchCondition{Expression: m.JSONPatch.Expression},
				Options:  patches,
			})
		case m.PatchType == v1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			list = append(list, expression.Expression{
				At:       at.Child("applyConfiguration", "expression"),
				Accessor: &patch.ApplyConfigurationCondition{Expression: m.ApplyConfiguration.Expression},
				Options:  patches,
			})
		}
	}
	return list
}

// compile restates compilePolicy of k8s.io/apiserver pkg/admission/plugin/policy/mutating/compilation.go, which
// is not exported. p's expressions have been checked.
func compile(c *expression.Compiler, p *v1.MutatingAdmissionPolicy) (mutating.PolicyEvaluator, error) {
	composited, err := cel.NewCompositedCompiler(c.Environment)
	if err != nil {
		return mutating.PolicyEvaluator{}, err
	}
	plain, patches := options(p)
	evaluator := mutating.PolicyEvaluator{CompositedCompiler: composited}
	var conditions []cel.ExpressionAccessor
	for _, e := range expressions(p) {
		switch accessor := e.Accessor.(type) {
		case *validating.Variable:
			if r := composited.CompileAndStoreVariable(accessor, plain, environment.StoredExpressions); r.Error != nil {
				return evaluator, fmt.Errorf("compiling variable %s: %w", accessor.Name, r.Error)
			}
		case *matchconditions.MatchCondition:
			conditions = append(conditions, accessor)
		case *patch.JSONPatchCondition:
			compiled := composited.CompileMutatingEvaluator(accessor, patches, environment.StoredExpressions)
			evaluator.Mutators = append(evaluator.Mutators, patch.NewJSONPatcher(compiled))
		case *patch.ApplyConfigurationCondition:
			compiled := composited.CompileMutatingEvaluator(accessor, patches, environment.StoredExpressions)
			evaluator.Mutators = append(evaluator.Mutators, patch.NewApplyConfigurationPatcher(compiled))
		}
	}
	if len(conditions) > 0 {
		compiled := composited.CompileCondition(conditions, plain, environment.StoredExpressions)
		evaluator.Matcher = matchconditions.NewMatcher(compiled, p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return evaluator, nil
}
