package validating

import (
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/policy/internal/spec"
)

// What follows is kube-apiserver's own validation of the two kinds; see package spec.

const (
	maxAuditAnnotations      = 20
	maxAuditAnnotationLength = 5 * 1024 // bytes of a valueExpression
)

func setPolicyDefaults(p *v1.ValidatingAdmissionPolicy) {
	spec.SetFailurePolicyDefault(&p.Spec.FailurePolicy)
	spec.SetMatchDefaults(p.Spec.MatchConstraints)
}

func setBindingDefaults(b *v1.ValidatingAdmissionPolicyBinding) {
	spec.SetMatchDefaults(b.Spec.MatchResources)
}

func checkPolicy(p *v1.ValidatingAdmissionPolicy) field.ErrorList {
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
	if len(p.Spec.Validations) == 0 && len(p.Spec.AuditAnnotations) == 0 {
		const one = "validations or auditAnnotations must contain at least one item"
		errs = append(errs, field.Required(at.Child("validations"), one), field.Required(at.Child("auditAnnotations"), one))
	}
	for i, v := range p.Spec.Validations {
		errs = append(errs, checkValidation(&v, at.Child("validations").Index(i))...)
	}
	return append(errs, checkAuditAnnotations(p, at.Child("auditAnnotations"))...)
}

func checkBinding(b *v1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	common := spec.Binding{
		Meta: &b.ObjectMeta, PolicyName: b.Spec.PolicyName, ParamRef: b.Spec.ParamRef, MatchResources: b.Spec.MatchResources,
	}
	return append(common.Check(), checkActions(b.Spec.ValidationActions, field.NewPath("spec", "validationActions"))...)
}

func checkActions(actions []v1.ValidationAction, at *field.Path) field.ErrorList {
	if len(actions) == 0 {
		return field.ErrorList{field.Required(at, "at least one validation action is required: Deny, Warn or Audit")}
	}
	var errs field.ErrorList
	for i, a := range actions {
		errs = append(errs, spec.OneOf(at.Index(i), a, v1.Audit, v1.Deny, v1.Warn)...)
	}
	if slices.Contains(actions, v1.Deny) && slices.Contains(actions, v1.Warn) {
		errs = append(errs, field.Invalid(at, actions, "must not contain both Deny and Warn: the user would read the same twice"))
	}
	return append(errs, spec.Unique(at, "", actions)...)
}

func checkValidation(v *v1.Validation, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if v.MessageExpression != "" && strings.TrimSpace(v.MessageExpression) == "" {
		errs = append(errs, field.Invalid(at.Child("messageExpression"), v.MessageExpression, "must be non-empty if specified"))
	}
	trimmed := strings.TrimSpace(v.Message)
	if v.Message != "" && trimmed == "" {
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must be non-empty if specified"))
	}
	if strings.ContainsAny(trimmed, "\n\r") {
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must not contain line breaks"))
	}
	if v.Reason != nil {
		errs = append(errs, spec.OneOf(at.Child("reason"), *v.Reason,
			metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)...)
	}
	return errs
}

func checkAuditAnnotations(p *v1.ValidatingAdmissionPolicy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if n := len(p.Spec.AuditAnnotations); n > maxAuditAnnotations {
		errs = append(errs, field.TooMany(at, n, maxAuditAnnotations))
	}
	var keys []string
	for i, a := range p.Spec.AuditAnnotations {
		keys = append(keys, a.Key)
		errs = append(errs, spec.QualifiedName(at.Index(i).Child("key"), p.Name+"/"+a.Key)...)
		if len(strings.TrimSpace(a.ValueExpression)) > maxAuditAnnotationLength {
			errs = append(errs, field.TooLong(at.Index(i).Child("valueExpression"), "", maxAuditAnnotationLength))
		}
	}
	return append(errs, spec.Unique(at, "key", keys)...)
}
