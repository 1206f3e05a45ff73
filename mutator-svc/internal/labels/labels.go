package labels

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// Mutator applies rules. It is safe for concurrent use.
type Mutator struct{ rules []rule }

// New returns a Mutator. cfg has its defaults.
func New(cfg Config) (*Mutator, error) {
	rules, errs := compile(&cfg, field.NewPath("labels"))
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return &Mutator{rules}, nil
}

// Mutate implements sdk.Mutator.
func (m *Mutator) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	if !applies(req) {
		return nil, nil
	}
	s, err := newSubject(req)
	if s == nil || err != nil {
		return nil, err
	}
	var conflicts []*admissionv1.Cause
	for i := range m.rules {
		r := &m.rules[i]
		found, err := r.apply(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("labels rule %q: %w", r.name, err)
		}
		conflicts = append(conflicts, found...)
	}
	if len(conflicts) > 0 {
		return &sdk.Mutation{Denial: denial(conflicts)}, nil
	}
	mutation := &sdk.Mutation{}
	s.labels.operations(&mutation.Patch)
	s.annotations.operations(&mutation.Patch)
	return mutation, nil
}

func applies(req *sdk.Request) bool {
	switch req.GetOperation() {
	case admissionv1.Operation_OPERATION_CREATE, admissionv1.Operation_OPERATION_UPDATE:
		return req.GetSubResource() == "" && len(req.GetObject()) > 0
	}
	return false
}

// apply changes s as the rule says, and returns what the rule denies.
func (r *rule) apply(ctx context.Context, s *subject) ([]*admissionv1.Cause, error) {
	if matches, err := s.matches(r); err != nil || !matches {
		return nil, err
	}
	found, err := r.assign(ctx, s, &s.labels, r.setLabels, validation.IsValidLabelValue)
	if err != nil {
		return nil, err
	}
	conflicts := found
	found, err = r.assign(ctx, s, &s.annotations, r.setAnnotations, func(string) []string { return nil })
	return append(conflicts, found...), err
}

// assign sets keys in m, one of s's, and returns those that the rule denies.
func (r *rule) assign(
	ctx context.Context, s *subject, m *stringMap, set []assignment, validate func(value string) []string,
) ([]*admissionv1.Cause, error) {
	singular := strings.TrimSuffix(m.name, "s")
	var conflicts []*admissionv1.Cause
	for _, a := range set {
		present, ok := m.current()[a.key]
		if ok && r.whenPresent == Keep {
			continue // whatever the rule's value would be
		}
		value, err := a.value.eval(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", singular, a.key, err)
		}
		if problems := validate(value); len(problems) > 0 {
			return nil, fmt.Errorf("%s %q: %.80q is not a valid value: %s",
				singular, a.key, value, strings.Join(problems, "; "))
		}
		switch {
		case ok && present == value:
		case ok && r.whenPresent == Deny:
			conflicts = append(conflicts, &admissionv1.Cause{
				Reason: "FieldValueInvalid",
				Field:  field.NewPath("metadata", m.name).Key(a.key).String(),
				Message: fmt.Sprintf("%s %q is %q, but rule %q wants %q: leave it out, or set it to that",
					singular, a.key, present, r.name, value),
			})
		default:
			s.set(m, a.key, value)
		}
	}
	return conflicts, nil
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
