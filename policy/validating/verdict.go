package validating

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// The texts, keys and bounds of this file are those of k8s.io/apiserver
// pkg/admission/plugin/policy/validating/{dispatcher,policy_decision}.go, which are not exported.
const (
	failureAnnotation        = "validation.policy.admission.k8s.io/validation_failure"
	maxAnnotationValueLength = 10 * 1024 // bytes
)

// verdict collects what the policies say about one request.
type verdict struct {
	sdk.Verdict
	failure *validating.ValidationFailureValue // the first of a binding with action Audit
}

// decisions does with each violation what the binding says.
func (v *verdict) decisions(p *v1.ValidatingAdmissionPolicy, b *v1.ValidatingAdmissionPolicyBinding, decisions []validating.PolicyDecision) {
	for i, d := range decisions {
		if d.Action != validating.ActionDeny {
			continue
		}
		for _, action := range b.Spec.ValidationActions {
			switch action {
			case v1.Deny:
				v.deny(p, b, d)
			case v1.Warn:
				v.warn(fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", p.Name, b.Name, d.Message))
			case v1.Audit:
				if v.failure == nil { // kube-apiserver 1.36 drops the others, because they would have the same key
					v.failure = &validating.ValidationFailureValue{
						Message: d.Message, Policy: b.Spec.PolicyName, Binding: b.Name, ExpressionIndex: i, ValidationActions: b.Spec.ValidationActions,
					}
				}
			}
		}
	}
}

// deny adds a denial. The binding is nil when the policy as a whole is at fault.
func (v *verdict) deny(p *v1.ValidatingAdmissionPolicy, b *v1.ValidatingAdmissionPolicyBinding, d validating.PolicyDecision) {
	message := fmt.Sprintf("ValidatingAdmissionPolicy '%s' denied request: %s", p.Name, d.Message)
	if b != nil {
		message = fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", p.Name, b.Name, d.Message)
	}
	reason := d.Reason
	if reason == "" {
		reason = metav1.StatusReasonInvalid
	}
	v.Denials = append(v.Denials, &admissionv1.Denial{Message: message, Reason: string(reason), Code: code(reason)})
}

func code(reason metav1.StatusReason) int32 {
	switch reason {
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonUnauthorized:
		return http.StatusUnauthorized
	case metav1.StatusReasonRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusUnprocessableEntity
	}
}

// warn adds a warning once, as kube-apiserver's recorder does.
func (v *verdict) warn(text string) {
	if !slices.Contains(v.Warnings, text) {
		v.Warnings = append(v.Warnings, text)
	}
}

// auditAnnotations are those of one policy: the distinct values of each key.
type auditAnnotations map[string][]string

// collect adds to into what one evaluation says; an expression that failed speaks against the object.
func (v *verdict) collect(p *v1.ValidatingAdmissionPolicy, b *v1.ValidatingAdmissionPolicyBinding, from []validating.PolicyAuditAnnotation, into auditAnnotations) {
	for _, a := range from {
		switch a.Action {
		case validating.AuditAnnotationActionPublish:
			value := cut(a.Value)
			if !slices.Contains(into[a.Key], value) {
				into[a.Key] = append(into[a.Key], value)
			}
		case validating.AuditAnnotationActionError:
			v.deny(p, b, validating.PolicyDecision{Action: validating.ActionDeny, Evaluation: validating.EvalError, Message: a.Error})
		}
	}
}

// cut bounds an annotation's value, and cuts before a character where upstream cuts through it.
func cut(value string) string {
	if len(value) <= maxAnnotationValueLength {
		return value
	}
	end := maxAnnotationValueLength
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

func (v *verdict) publish(policy string, from auditAnnotations) {
	for key, values := range from {
		v.annotate(policy+"/"+key, strings.Join(values, ", "))
	}
}

func (v *verdict) annotate(key, value string) {
	if v.AuditAnnotations == nil {
		v.AuditAnnotations = map[string]string{}
	}
	v.AuditAnnotations[key] = value
}

// finish returns the verdict.
func (v *verdict) finish() *sdk.Verdict {
	if v.failure != nil {
		value, _ := json.Marshal([]validating.ValidationFailureValue{*v.failure}) // strings and an int: it cannot fail
		v.annotate(failureAnnotation, string(value))
	}
	return &v.Verdict
}
