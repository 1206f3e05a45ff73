package fold

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// Part is one backend's part in a review.
type Part struct {
	// Backend is the backend's name.
	Backend string
	// Required tells whether its failure fails the review.
	Required bool
	// Outcome is what came of asking it.
	Outcome gatewayv1.Outcome
	// Failure says why it failed; set exactly when Outcome is FAILED or IGNORED.
	Failure *outcome.Error
	// Ops are the changes that were accepted, as they apply to the object at the backend's turn.
	Ops []*admissionv1.PatchOperation
	// Fields are the JSON pointers of what the changes added, replaced or removed.
	Fields []string
	// Conflicts are values of earlier backends that the changes overrule.
	Conflicts []Conflict
	// Denials are its refusals.
	Denials []*admissionv1.Denial
	// Warnings are for the user, whatever the verdict.
	Warnings []string
	// Audit are its audit annotations.
	Audit map[string]string
	// Peer is the address of the replica that answered, where known.
	Peer string
	// Asked is how often it was asked.
	Asked int
	// Duration is the time between asking and the answer, of all answers together; 0 when it was not asked.
	Duration time.Duration
}

// Conflict is a value that an earlier backend set, and a later one set to something else or removed.
type Conflict struct {
	// Field is the value's JSON pointer.
	Field string
	// Backend is the name of the earlier one.
	Backend string
}

// Fail settles the part by the backend's failure policy. Nothing the backend said counts.
func (p *Part) Fail(cause outcome.Cause, err error) {
	p.Outcome = gatewayv1.Outcome_OUTCOME_IGNORED
	if p.Required {
		p.Outcome = gatewayv1.Outcome_OUTCOME_FAILED
	}
	p.Failure = outcome.New(cause, err)
	p.Ops, p.Fields, p.Conflicts, p.Denials, p.Warnings, p.Audit = nil, nil, nil, nil, nil, nil
}

// Final tells whether nothing after the part can change the verdict of a mutating review.
func (p *Part) Final() bool {
	return p.Outcome == gatewayv1.Outcome_OUTCOME_FAILED || p.Outcome == gatewayv1.Outcome_OUTCOME_DENIED
}

// Step is the part as the gate's API tells it.
func (p *Part) Step() *gatewayv1.Step {
	step := &gatewayv1.Step{
		Backend:    p.Backend,
		Outcome:    p.Outcome,
		Operations: p.Ops,
		Denials:    p.Denials,
		Warnings:   p.Warnings,
		Peer:       p.Peer,
		Duration:   durationpb.New(p.Duration),
		Changed:    p.Fields,
		Asked:      int32(min(p.Asked, math.MaxInt32)),
	}
	for _, conflict := range p.Conflicts {
		step.Conflicts = append(step.Conflicts, &gatewayv1.Conflict{Field: conflict.Field, Overruled: conflict.Backend})
	}
	if p.Failure != nil {
		step.Error = p.Failure.Error()
	}
	return step
}

// OutcomeName is an outcome as metrics, logs and traces write it: "changed", "not_matched".
func OutcomeName(o gatewayv1.Outcome) string {
	switch o {
	case gatewayv1.Outcome_OUTCOME_NOT_MATCHED:
		return "not_matched"
	case gatewayv1.Outcome_OUTCOME_ALLOWED:
		return "allowed"
	case gatewayv1.Outcome_OUTCOME_CHANGED:
		return "changed"
	case gatewayv1.Outcome_OUTCOME_DENIED:
		return "denied"
	case gatewayv1.Outcome_OUTCOME_FAILED:
		return "failed"
	case gatewayv1.Outcome_OUTCOME_IGNORED:
		return "ignored"
	case gatewayv1.Outcome_OUTCOME_SKIPPED:
		return "skipped"
	default:
		return "unspecified"
	}
}
