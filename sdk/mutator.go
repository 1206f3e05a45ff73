package sdk

import (
	"context"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Mutator changes objects on their way into the cluster.
type Mutator interface {
	// Mutate says how to change the requested object. A nil Mutation changes nothing. An error means
	// that the question could not be answered: it is never shown as a refusal, and the failure policy
	// of the backend decides. Mutate must be safe for concurrent use and idempotent: applied to its own
	// result it changes nothing.
	Mutate(ctx context.Context, req *Request) (*Mutation, error)
}

// MutatorFunc lets a function be a Mutator.
type MutatorFunc func(ctx context.Context, req *Request) (*Mutation, error)

// Mutate calls f.
func (f MutatorFunc) Mutate(ctx context.Context, req *Request) (*Mutation, error) { return f(ctx, req) }

// Mutation is a mutator's answer. The zero value changes nothing.
type Mutation struct {
	// Object is the object as it should become: the value that Request.Decode filled, changed. It is
	// compared with the bytes that came, so fields that its Go type does not know are never removed.
	Object any
	// Patch is the change as operations; used when Object is nil.
	Patch Patch
	// Denial refuses the object; everything above is then ignored.
	Denial *admissionv1.Denial
	// Warnings are shown to the user; keep each below 120 characters.
	Warnings []string
	// AuditAnnotations are added to the apiserver's audit event.
	AuditAnnotations map[string]string
}
