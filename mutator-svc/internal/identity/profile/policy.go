package profile

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Policy says what becomes of a pod with which something is wrong.
type Policy string

// The policies.
const (
	// Allow lets the pod in, and says nothing.
	Allow Policy = "Allow"
	// Warn lets the pod in, with a warning to its author.
	Warn Policy = "Warn"
	// Deny refuses the pod.
	Deny Policy = "Deny"
)

// Policies are what becomes of a pod, by what is wrong.
type Policies struct {
	// MissingServiceAccount is for pods whose ServiceAccount does not exist: Allow, Warn or Deny.
	MissingServiceAccount Policy `json:"missingServiceAccount,omitempty"`
	// InvalidValue is for values of annotations that cannot be used: Allow and Warn use what the
	// profile says instead, Deny refuses the pod. With Allow the profile is silent about everything
	// else that it would warn of, too.
	InvalidValue Policy `json:"invalidValue,omitempty"`
}

// SetDefaults fills what was left out.
func (p *Policies) SetDefaults(missingServiceAccount, invalidValue Policy) {
	if p.MissingServiceAccount == "" {
		p.MissingServiceAccount = missingServiceAccount
	}
	if p.InvalidValue == "" {
		p.InvalidValue = invalidValue
	}
}

// Validate says what is wrong with p, which stands at at.
func (p *Policies) Validate(at *field.Path) (errs field.ErrorList) {
	known := []Policy{Allow, Warn, Deny}
	for _, part := range []struct {
		name   string
		policy Policy
	}{{"missingServiceAccount", p.MissingServiceAccount}, {"invalidValue", p.InvalidValue}} {
		if !slices.Contains(known, part.policy) {
			errs = append(errs, field.NotSupported(at.Child(part.name), part.policy, known))
		}
	}
	return errs
}
