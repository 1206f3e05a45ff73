package policy

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
)

// anyVersion and anyGroup stand for all versions and groups in a rule.
const (
	anyVersion = "*"
	anyGroup   = "*"
)

// match is what a policy that matches is about.
type match struct {
	resource schema.GroupVersionResource
	kind     schema.GroupVersionKind
	// assumed: it matches if the resource is served in resource.Version, of which the request says nothing.
	assumed bool
}

// definition tells in what the policy matches; nil when it does not.
func (e *evaluation) definition(h *hook) (*match, error) {
	matches, resource, kind, err := e.matcher.DefinitionMatches(e.request, e.objects, h.policy)
	if err != nil {
		return nil, err
	}
	if matches {
		return &match{resource: resource, kind: kind}, nil
	}
	var found *match
	_, err = e.assuming(h.Policy.Spec.MatchConstraints, func(objects admission.ObjectInterfaces) (bool, error) {
		matches, resource, kind, err := e.matcher.DefinitionMatches(e.request, objects, h.policy)
		if matches {
			found = &match{resource: resource, kind: kind, assumed: true}
		}
		return matches, err
	})
	return found, err
}

// binding evaluates the policy, which matches, as its i-th binding says; nothing when that does not match.
func (e *evaluation) binding(ctx context.Context, h *hook, i int, about *match) ([]validating.ValidateResult, error) {
	matching := func(objects admission.ObjectInterfaces) (bool, error) {
		return e.matcher.BindingMatches(e.request, objects, h.bindings[i])
	}
	matches, err := matching(e.objects)
	if err != nil {
		return nil, err
	}
	if matches {
		return e.results(ctx, h, h.Bindings[i], about)
	}
	version, err := e.assuming(h.Bindings[i].Spec.MatchResources, matching)
	if err != nil || version == "" {
		return nil, err
	}
	return nil, e.otherVersion("binding", version)
}

// assuming returns the first version with which matches says yes, of those that the rules name and of which
// the request says nothing; empty when there is none. Under matchPolicy Equivalent such rules mean the
// resource in all its versions, and kube-apiserver, which knows them, would convert the object.
//
// Versions are assumed for the sake of resourceRules only, one at a time: excludeResourceRules for a version
// that nobody knows of do not keep a policy from being evaluated, because what was excluded by mistake
// would go unseen. Nor are they assumed for rules of all groups: "v1 of everything" is no statement about
// a resource that may well be served in v1alpha1 alone.
func (e *evaluation) assuming(constraints *v1.MatchResources, matches func(admission.ObjectInterfaces) (bool, error)) (string, error) {
	if constraints == nil || *constraints.MatchPolicy != v1.Equivalent {
		return "", nil
	}
	known := []string{anyVersion, e.request.GetResource().Version, e.request.resource.Version}
	for i := range constraints.ResourceRules {
		if slices.Contains(constraints.ResourceRules[i].APIGroups, anyGroup) {
			continue
		}
		for _, version := range constraints.ResourceRules[i].APIVersions {
			if slices.Contains(known, version) {
				continue
			}
			known = append(known, version)
			ok, err := matches(&admission.RuntimeObjectInterfaces{EquivalentResourceMapper: assumption{e.request, version}})
			if err != nil {
				return "", err
			}
			if ok {
				return version, nil
			}
		}
	}
	return "", nil
}

// otherVersion says what to do where only kube-apiserver could go on; what is "policy" or "binding".
func (e *evaluation) otherVersion(what, version string) error {
	arrived := e.request.resource
	return unanswerable{fmt.Errorf("the %s is about %s in version %s, the object arrived in version %s, and only kube-apiserver can convert it; "+
		"name %s in the %s's rules, or register the gate for version %s only (matchPolicy Equivalent), so that kube-apiserver converts",
		what, arrived.GroupResource(), version, arrived.Version, arrived.Version, what, version)}
}

// EquivalentResourcesFor returns the two versions of a resource that the request speaks of: the one that
// was requested, and the one to which kube-apiserver converted it.
func (q *request) EquivalentResourcesFor(resource schema.GroupVersionResource, _ string) []schema.GroupVersionResource {
	if q.resource == resource {
		return nil
	}
	return []schema.GroupVersionResource{resource, q.resource}
}

// KindFor returns the kind of a resource that EquivalentResourcesFor returned.
func (q *request) KindFor(resource schema.GroupVersionResource, _ string) schema.GroupVersionKind {
	if resource == q.resource {
		return q.kind
	}
	return q.GetKind()
}

// assumption is a request whose resource is assumed to be served in one version more.
type assumption struct {
	*request
	version string
}

// EquivalentResourcesFor adds that version.
func (a assumption) EquivalentResourcesFor(resource schema.GroupVersionResource, subresource string) []schema.GroupVersionResource {
	return append(a.request.EquivalentResourcesFor(resource, subresource),
		resource.GroupResource().WithVersion(a.version), a.resource.GroupResource().WithVersion(a.version))
}
