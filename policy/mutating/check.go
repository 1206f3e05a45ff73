package mutating

import (
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/policy/internal/spec"
)

// What follows is kube-apiserver's own validation of the two kinds; see package spec.

func setPolicyDefaults(p *v1.MutatingAdmissionPolicy) {
	spec.SetFailurePolicyDefault(&p.Spec.FailurePolicy)
	spec.SetMatchDefaults(p.Spec.MatchConstraints)
}

func setBindingDefaults(b *v1.MutatingAdmissionPolicyBinding) {
	spec.SetMatchDefaults(b.Spec.MatchResources)
}

func checkPolicy(p *v1.MutatingAdmissionPolicy) field.ErrorList {
	common := spec.Policy{
		Meta:             &p.ObjectMeta,
		FailurePolicy:    p.Spec.FailurePolicy,
		ParamKind:        p.Spec.ParamKind,
		MatchConstraints: p.Spec.MatchConstraints,
		MatchConditions:  p.Spec.MatchConditions,
		Variables:        p.Spec.Variables,
	}
	errs := common.Check()
	at := field.NewPath("spec")
	errs = append(errs, checkOperations(p.Spec.MatchConstraints, at.Child("matchConstraints"))...)
	if len(p.Spec.Mutations) == 0 {
		errs = append(errs, field.Required(at.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range p.Spec.Mutations {
		errs = append(errs, checkMutation(&p.Spec.Mutations[i], at.Child("mutations").Index(i))...)
	}
	if p.Spec.ReinvocationPolicy == "" {
		return append(errs, field.Required(at.Child("reinvocationPolicy"), "write Never or IfNeeded"))
	}
	return append(errs, spec.OneOf(at.Child("reinvocationPolicy"), p.Spec.ReinvocationPolicy,
		v1.IfNeededReinvocationPolicy, v1.NeverReinvocationPolicy)...)
}

func checkBinding(b *v1.MutatingAdmissionPolicyBinding) field.ErrorList {
	common := spec.Binding{
		Meta: &b.ObjectMeta, PolicyName: b.Spec.PolicyName, ParamRef: b.Spec.ParamRef, MatchResources: b.Spec.MatchResources,
	}
	return append(common.Check(), checkOperations(b.Spec.MatchResources, field.NewPath("spec", "matchResources"))...)
}

// checkOperations refuses DELETE, which has no object to mutate. The path is kube-apiserver's.
func checkOperations(m *v1.MatchResources, at *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	mutable := []v1.OperationType{v1.OperationAll, v1.Connect, v1.Create, v1.Update}
	var errs field.ErrorList
	for _, rule := range m.ResourceRules {
		for _, op := range rule.Operations {
			if !slices.Contains(mutable, op) {
				errs = append(errs, field.NotSupported(at.Child("resourceRules", "operations"), op, mutable))
			}
		}
	}
	return errs
}

// checkMutation wants the one member that patchType names. What is in it is the business of the compiler.
func checkMutation(m *v1.Mutation, at *field.Path) field.ErrorList {
	json, apply := at.Child("jsonPatch"), at.Child("applyConfiguration")
	var errs field.ErrorList
	switch m.PatchType {
	case "":
		errs = append(errs, field.Required(at.Child("patchType"), "write JSONPatch or ApplyConfiguration"))
	case v1.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(json, "must be specified when patchType is JSONPatch"))
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Forbidden(apply, "must not be specified when patchType is JSONPatch"))
		}
	case v1.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Forbidden(json, "must not be specified when patchType is ApplyConfiguration"))
		}
	default:
		errs = append(errs, spec.OneOf(at.Child("patchType"), m.PatchType, v1.PatchTypeApplyConfiguration, v1.PatchTypeJSONPatch)...)
	}
	return errs
}
