package mutating

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"

	"github.com/gatefold/gatefold/policy/internal/match"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// failures are the errors of policies with failurePolicy Fail, in their order.
type failures []generic.PolicyError

// add adds an error, unless the policy ignores its errors. The binding is nil when the policy as a whole is at
// fault.
func (f *failures) add(h *hook, binding *v1.MutatingAdmissionPolicyBinding, err error, reason metav1.StatusReason) {
	if ignoresErrors(h) {
		return
	}
	failure := generic.PolicyError{Policy: h.Policy, Message: err, Reason: reason}
	for i, b := range h.TypedBindings {
		if b == binding {
			failure.Binding = h.Bindings[i]
		}
	}
	*f = append(*f, failure)
}

// denial is what kube-apiserver answers: the first error is the message, all of them are causes. Nil when there
// are none.
func (f failures) denial() *admissionv1.Denial {
	if len(f) == 0 {
		return nil
	}
	d := &admissionv1.Denial{Message: f[0].Error(), Reason: string(metav1.StatusReasonForbidden), Code: http.StatusForbidden}
	if f[0].Reason != "" {
		d.Reason = string(f[0].Reason)
	}
	for _, failure := range f {
		d.Causes = append(d.Causes, &admissionv1.Cause{Message: failure.Error()})
	}
	return d
}

// statusOf is what kube-apiserver answers to err at once, whatever the failurePolicy; nil when the failurePolicy
// decides.
func statusOf(err error) *apierrors.StatusError {
	refusal, _ := errors.AsType[*apierrors.StatusError](err)
	return refusal
}

func denialOf(err *apierrors.StatusError) *admissionv1.Denial {
	s := err.ErrStatus
	d := &admissionv1.Denial{Message: s.Message, Reason: string(s.Reason), Code: s.Code}
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			d.Causes = append(d.Causes, &admissionv1.Cause{Reason: string(c.Type), Message: c.Message, Field: c.Field})
		}
	}
	return d
}

// configurationError applies the failurePolicy to an error in finding out whether a policy matches. The error that is
// returned is this program's own.
func (f *failures) configurationError(h *hook, binding *v1.MutatingAdmissionPolicyBinding, err error) error {
	if unanswered := unanswered(h, err); unanswered != nil {
		return unanswered
	}
	what := "policy"
	if binding != nil {
		what = "binding"
	}
	f.add(h, binding, fmt.Errorf("failed to configure %s: %w", what, err), "")
	return nil
}

// invocationError applies it to an error of the evaluation itself.
func (f *failures) invocationError(in invocation, err error) error {
	if unanswered := unanswered(in.hook, err); unanswered != nil {
		return unanswered
	}
	f.add(in.hook, in.binding, err, metav1.StatusReasonInvalid)
	return nil
}

func ignoresErrors(h *hook) bool { return *h.Typed.Spec.FailurePolicy == v1.Ignore }

// unanswered is an error where the trouble is this program's own, and the policy does not ignore errors.
func unanswered(h *hook, err error) error {
	if !match.Unanswerable(err) || ignoresErrors(h) {
		return nil
	}
	return status.Errorf(codes.FailedPrecondition, "%s '%s' cannot be evaluated: %v", policyKind, h.Typed.Name, err)
}
