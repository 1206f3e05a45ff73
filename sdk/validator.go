package sdk

import (
	"context"
	"fmt"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Validator accepts or refuses objects on their way into the cluster.
type Validator interface {
	// Validate judges the requested object. A nil Verdict allows it. An error means that the question
	// could not be answered: it is never shown as a refusal, and the failure policy of the backend
	// decides. Validate must be safe for concurrent use.
	Validate(ctx context.Context, req *Request) (*Verdict, error)
}

// ValidatorFunc lets a function be a Validator.
type ValidatorFunc func(ctx context.Context, req *Request) (*Verdict, error)

// Validate calls f.
func (f ValidatorFunc) Validate(ctx context.Context, req *Request) (*Verdict, error) {
	return f(ctx, req)
}

// Verdict is a validator's answer. The zero value allows.
type Verdict struct {
	// Denials is everything that speaks against the object; empty allows it.
	Denials []*admissionv1.Denial
	// Warnings are shown to the user whatever the verdict; keep each below 120 characters.
	Warnings []string
	// AuditAnnotations are added to the apiserver's audit event.
	AuditAnnotations map[string]string
}

// Deny returns a refusal with a message for the user: what is wrong, and what to do about it.
func Deny(format string, args ...any) *admissionv1.Denial {
	return &admissionv1.Denial{Message: fmt.Sprintf(format, args...)}
}
