package labels

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/labels"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// matches tells whether r, which the index left, applies to s as it stands.
func (r *rule) matches(ctx context.Context, s *subject) (bool, error) {
	if selected, err := r.selectsNamespace(s); err != nil || !selected {
		return false, err
	}
	if r.objectSelector != nil && !r.objectSelector.Matches(labels.Set(s.object.labels.current())) &&
		(s.old == nil || !r.objectSelector.Matches(labels.Set(s.old.Labels))) {
		return false, nil
	}
	holds, err := r.holds(ctx, s, asItIs)
	if holds || r.immutable == "" || s.old == nil {
		return holds, err
	}
	// An update must not edit itself out of the rule; nor does it if what it wrote is what makes them fail.
	before, errBefore := r.holds(ctx, s, asItWas)
	if before {
		return true, nil
	}
	return false, errors.Join(err, errBefore)
}

// selectsNamespace tells whether namespaceSelector does. A Namespace must not edit itself out of the rule either.
func (r *rule) selectsNamespace(s *subject) (bool, error) {
	namespaced := isNamespace(s.req.AdmissionRequest) || s.req.GetNamespace() != ""
	if r.namespaceSelector == nil || !namespaced {
		return true, nil
	}
	ns, err := s.namespace(asItIs)
	if err != nil {
		return false, fmt.Errorf("namespaceSelector: %w", err)
	}
	if r.namespaceSelector.Matches(labels.Set(ns.GetLabels())) {
		return true, nil
	}
	return r.immutable != "" && isNamespace(s.req.AdmissionRequest) && s.old != nil &&
		r.namespaceSelector.Matches(labels.Set(s.old.Labels)), nil
}

// holds tells whether all conditions do. One that is false decides, whatever the others are.
func (r *rule) holds(ctx context.Context, s *subject, object which) (bool, error) {
	var failed error
	for i := range r.conditions {
		c := &r.conditions[i]
		result, err := c.eval(ctx, s, object)
		switch {
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("matchCondition %q: %w", c.name, err))
		case result == types.False:
			return false, nil
		case result != types.True:
			failed = errors.Join(failed, fmt.Errorf("matchCondition %q gives %s, not bool", c.name, result.Type().TypeName()))
		}
	}
	return failed == nil, failed
}

// excepts tells whether a user may give the rule's keys values of their own.
func (r *rule) excepts(user *admissionv1.UserInfo) bool {
	return r.users.Has(user.GetUsername()) || slices.ContainsFunc(user.GetGroups(), r.groups.Has)
}

// stamps tells whether r sets and removes keys in this request, beside keeping what is immutable.
func (r *rule) stamps(req *admissionv1.AdmissionRequest) bool {
	switch {
	case req.GetSubResource() != "", isBinding(req):
		return false
	case req.GetOperation() == admissionv1.Operation_OPERATION_UPDATE:
		return r.updates
	}
	return r.creates
}
