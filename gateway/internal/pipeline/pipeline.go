// Package pipeline runs the plan for one review: it asks the mutators and validators that match, within
// the time there is, and keeps the record of what each of them did.
package pipeline

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Mutator asks one mutator. It also returns the address of the replica that was asked, where known.
type Mutator interface {
	Mutate(ctx context.Context, req *admissionv1.MutateRequest) (resp *admissionv1.MutateResponse, peer string, err error)
}

// Validator asks one validator. It also returns the address of the replica that was asked, where known.
type Validator interface {
	Validate(ctx context.Context, req *admissionv1.ValidateRequest) (resp *admissionv1.ValidateResponse, peer string, err error)
}

// Matcher decides whether a backend concerns a request.
type Matcher interface {
	Match(ctx context.Context, view *route.View) (bool, error)
	// ReadsObject tells whether the answer may be another for another object of the same request.
	ReadsObject() bool
}

// Observer is told of every backend's part as it ends, from several goroutines at once.
type Observer interface {
	Part(ctx context.Context, part *fold.Part)
}

// Backend is one mutator or validator in the plan.
type Backend struct {
	// Name is the backend's, Handler what it is called within its process.
	Name, Handler string
	// Required tells whether a failure fails the review.
	Required bool
	// Timeout is the longest one call may take.
	Timeout time.Duration
	// Matcher decides whether the backend is asked.
	Matcher Matcher
	// Guard says what a mutator may change.
	Guard fold.Guard
	// Observed is what a mutator's answer depends on.
	Observed fold.Observed
	// Mutator or Validator asks it; the other is nil.
	Mutator   Mutator
	Validator Validator
}

// Plan is what stands behind the gate: mutators in the order of their turns, validators, and the shadows of
// both. It is not changed once it is made, and safe for concurrent use.
type Plan struct {
	Mutators   []*Backend
	Validators []*Backend

	ShadowMutators   []*Backend
	ShadowValidators []*Backend
}

// Pipeline runs plans. It is safe for concurrent use.
type Pipeline struct {
	// Tracer makes a span for each part.
	Tracer trace.Tracer
	// Observer is told of every part.
	Observer Observer
}

// Record is what became of a review: a part for each live backend of the plan, in its order.
type Record struct {
	Parts []*fold.Part
	// Document is the object as the mutators have left it; of validation, as it came.
	Document *fold.Document
	// Rounds is how many times mutators had to be waited for one after another.
	Rounds int
}

// match tells whether a backend is to be asked about what view shows.
func (p *Pipeline) match(ctx context.Context, backend *Backend, view *route.View) (bool, error) {
	ctx, span := p.Tracer.Start(ctx, "route "+backend.Name)
	defer span.End()
	matches, err := backend.Matcher.Match(ctx, view)
	span.SetAttributes(attribute.Bool("gatefold.matched", matches))
	return matches, err
}
