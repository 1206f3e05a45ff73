package labels

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// Mutator applies rules. It is safe for concurrent use.
type Mutator struct {
	rules  []rule
	index  *index
	stamps stamps
}

// New returns a Mutator. cfg has its defaults.
func New(cfg Config) (*Mutator, error) {
	rules, errs := compile(&cfg, field.NewPath("labels"))
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return &Mutator{rules, newIndex(cfg.Rules), newStamps(cfg.Rules, rules)}, nil
}

// Mutate implements sdk.Mutator.
func (m *Mutator) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	if !applies(req) {
		return nil, nil
	}
	candidates := m.index.candidates(req.AdmissionRequest)
	if len(candidates) == 0 {
		return nil, nil
	}
	s, err := newSubject(req, &m.stamps)
	if s == nil || err != nil {
		return nil, err
	}
	// What is immutable comes first: no rule, wherever it stands, is to work with what cannot stay.
	if req.GetOperation() == admissionv1.Operation_OPERATION_UPDATE || isBinding(req.AdmissionRequest) {
		for _, i := range candidates {
			if err := m.rules[i].freeze(ctx, s); err != nil {
				return nil, fmt.Errorf("labels rule %q: %w", m.rules[i].name, err)
			}
		}
	}
	for _, i := range candidates {
		if err := m.rules[i].apply(ctx, s); err != nil {
			return nil, fmt.Errorf("labels rule %q: %w", m.rules[i].name, err)
		}
	}
	if len(s.conflicts) > 0 {
		return &sdk.Mutation{Denial: denial(s.conflicts)}, nil
	}
	mutation := &sdk.Mutation{Warnings: s.warnings}
	s.object.operations(&mutation.Patch)
	if s.template != nil {
		s.template.operations(&mutation.Patch)
	}
	return mutation, nil
}

// applies tells whether the request could be changed. Of subresources only updates are, and Bindings: that is how
// metadata changes there.
func applies(req *sdk.Request) bool {
	switch req.GetOperation() {
	case admissionv1.Operation_OPERATION_CREATE:
		return (req.GetSubResource() == "" || isBinding(req.AdmissionRequest)) && len(req.GetObject()) > 0
	case admissionv1.Operation_OPERATION_UPDATE:
		return len(req.GetObject()) > 0
	}
	return false
}

// denial tells all conflicts at once.
func denial(conflicts []*admissionv1.Cause) *admissionv1.Denial {
	messages := make([]string, len(conflicts))
	for i, c := range conflicts {
		messages[i] = c.GetMessage()
	}
	d := sdk.Deny("%s", strings.Join(messages, "; "))
	d.Causes = conflicts
	return d
}
