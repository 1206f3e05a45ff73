package labels

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// application is one rule at work on one object.
type application struct {
	*rule
	s        *subject
	stamping bool
	excepted bool
	values   map[*assignment]string // computed once for two places; nil for one
}

// at returns nil where r does not match s as it stands.
func (r *rule) at(ctx context.Context, s *subject) (*application, []*place, error) {
	if matches, err := r.matches(ctx, s); err != nil || !matches {
		return nil, nil, err
	}
	places, err := s.places(r)
	a := &application{
		rule: r, s: s, stamping: r.stamps(s.req.AdmissionRequest), excepted: r.excepts(s.req.GetUserInfo()),
	}
	if len(places) > 1 {
		a.values = map[*assignment]string{}
	}
	return a, places, err
}

// freeze keeps what is immutable as it was, or notes that the rule denies that it is not.
func (r *rule) freeze(ctx context.Context, s *subject) error {
	if r.immutable == "" {
		return nil
	}
	if isBinding(s.req.AdmissionRequest) {
		return r.unbind(s)
	}
	a, places, err := r.at(ctx, s)
	if a == nil || err != nil || a.excepted {
		return err
	}
	if s.old == nil {
		return errors.New("its keys are immutable, and the request does not say what they were: it has no old object")
	}
	for _, p := range places {
		for i := range r.setLabels {
			a.keep(p, &p.labels, r.setLabels[i].key)
		}
		for i := range r.setAnnotations {
			a.keep(p, &p.annotations, r.setAnnotations[i].key)
		}
	}
	return nil
}

// apply changes s as the rule says, and notes what the rule denies.
func (r *rule) apply(ctx context.Context, s *subject) error {
	if !r.stamps(s.req.AdmissionRequest) {
		return nil
	}
	a, places, err := r.at(ctx, s)
	if a == nil || err != nil {
		return err
	}
	for _, p := range places {
		a.remove(p, &p.labels, &r.removeLabels, r.setLabels)
		a.remove(p, &p.annotations, &r.removeAnnotations, r.setAnnotations)
		if err := a.set(ctx, p, &p.labels, r.setLabels, labelSyntax()); err != nil {
			return err
		}
		if err := a.set(ctx, p, &p.annotations, r.setAnnotations, annotationSyntax()); err != nil {
			return err
		}
	}
	return nil
}

// remove takes keys out of m, one of p's, but for those that are also set.
func (a *application) remove(p *place, m *stringMap, keys *keySet, set []assignment) {
	if keys.empty() || a.excepted {
		return
	}
	var removed []string
	for key := range m.current() {
		if keys.has(key) && !p.keeps(m, key) && !slices.ContainsFunc(set, func(s assignment) bool { return s.key == key }) {
			removed = append(removed, key)
		}
	}
	slices.Sort(removed) // for the order of the warnings
	for _, key := range removed {
		a.change(p, m, key, "", false)
	}
}

// keeps tells whether a key is not to be touched: because it is immutable, or because it is as it was in a pod
// template that is as it was: changing it now would restart pods for the sake of a rule.
func (p *place) keeps(m *stringMap, key string) bool {
	now, is := m.current()[key]
	was, had := m.old[key]
	return m.frozen.Has(key) || p.settled && is == had && now == was
}

// set does so in m, one of p's.
func (a *application) set(ctx context.Context, p *place, m *stringMap, set []assignment, allowed syntax) error {
	for i := range set {
		if p.keeps(m, set[i].key) {
			continue
		}
		if err := a.assign(ctx, p, m, &set[i], allowed); err != nil {
			return fmt.Errorf("%s: %w", p.call(m, set[i].key), err)
		}
	}
	return nil
}

// keep puts the old value of an immutable key back, or notes that it should not have been changed. A key that
// the object did not have is left to apply if the rule will set it.
func (a *application) keep(p *place, m *stringMap, key string) {
	was, had := m.old[key]
	if m.frozen.Has(key) || !had && a.stamping {
		return
	}
	m.frozen = add(m.frozen, key)
	now, is := m.current()[key]
	switch {
	case is == had && now == was:
	case a.immutable == Deny:
		a.deny(p, m, key, frozen(p.call(m, key), a.name, was, had, now, is))
	default:
		a.change(p, m, key, was, had)
	}
}

// frozen says what is wrong with an update of what, a label or annotation, and what to do about it.
func frozen(what, rule, was string, had bool, now string, is bool) string {
	switch {
	case !had:
		return fmt.Sprintf("%s was not there when the object was created, and rule %q lets no update add it: leave it out", what, rule)
	case !is:
		return fmt.Sprintf("%s is %q, and rule %q lets nobody remove it: put it back", what, was, rule)
	}
	return fmt.Sprintf("%s is %q, and rule %q lets nobody change it to %q: put it back", what, was, rule, now)
}

// assign sets one key.
func (a *application) assign(ctx context.Context, p *place, m *stringMap, in *assignment, allowed syntax) error {
	present, ok := m.current()[in.key]
	if was, had := m.old[in.key]; p.settled && had && !ok {
		// The template is as it was, but for the keys that the rules set, which whoever replaces the object does
		// not know. A value computed anew might be another.
		a.change(p, m, in.key, was, true)
		return nil
	}
	if ok && (a.whenPresent == Keep || a.excepted) {
		return nil // whatever the rule's value would be
	}
	value, err := a.value(ctx, in, allowed)
	if err != nil {
		return err
	}
	switch {
	case ok && present == value:
	case ok && a.whenPresent == Deny:
		a.deny(p, m, in.key, fmt.Sprintf("%s is %q, but rule %q wants %q: leave it out, or set it to that",
			p.call(m, in.key), present, a.name, value))
	default:
		a.change(p, m, in.key, value, true)
	}
	return nil
}

// value computes a value once, for the object and its pod template.
func (a *application) value(ctx context.Context, in *assignment, allowed syntax) (string, error) {
	if value, ok := a.values[in]; ok {
		return value, nil
	}
	value, err := in.value.eval(ctx, a.s)
	if err != nil {
		return "", err
	}
	if problems := allowed.value(value); len(problems) > 0 {
		return "", fmt.Errorf("%.80q is not a valid value: %s", value, strings.Join(problems, "; "))
	}
	if a.values != nil {
		a.values[in] = value
	}
	return value, nil
}

// change sets or removes a key, unless the object's own selector speaks against it.
func (a *application) change(p *place, m *stringMap, key, value string, present bool) {
	if m == &p.labels && !p.selected(key, value, present) {
		a.s.warnings = append(a.s.warnings, fmt.Sprintf(
			"rule %q leaves label %q of the pod template: the selector asks for it as it is", a.name, key))
		return
	}
	a.s.change(p, m, key, value, present)
}

func (a *application) deny(p *place, m *stringMap, key, message string) {
	path := append(slices.Clone(p.path), "metadata", m.name)
	a.s.conflicts = append(a.s.conflicts, &admissionv1.Cause{
		Reason:  "FieldValueInvalid",
		Field:   field.NewPath(path[0], path[1:]...).Key(key).String(),
		Message: message,
	})
}

// call is what messages call a key of m, which is one of p's.
func (p *place) call(m *stringMap, key string) string {
	what := fmt.Sprintf("%s %q", strings.TrimSuffix(m.name, "s"), key)
	if len(p.path) > 0 {
		what += " of the pod template"
	}
	return what
}
