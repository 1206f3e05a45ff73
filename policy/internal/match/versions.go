package match

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

// anyVersion and anyGroup stand for all versions and groups in a rule.
const (
	anyVersion = "*"
	anyGroup   = "*"
)

// assuming returns the first version with which matches says yes, of those that the rules name and of which
// the request says nothing; empty when there is none. Under matchPolicy Equivalent such rules mean the
// resource in all its versions, and kube-apiserver, which knows them, would convert the object.
//
// Versions are assumed for the sake of resourceRules only, one at a time: excludeResourceRules for a version
// that nobody knows of do not keep a policy from being evaluated, because what was excluded by mistake
// would go unseen. Nor are they assumed for rules of all groups: "v1 of everything" is no statement about
// a resource that may well be served in v1alpha1 alone.
func (m *Matcher) assuming(constraints *v1.MatchResources, matches func(admission.ObjectInterfaces) (bool, error)) (string, error) {
	if constraints == nil || *constraints.MatchPolicy != v1.Equivalent {
		return "", nil
	}
	known := append([]string{anyVersion, m.request.GetResource().Version, m.request.Resource.Version}, m.request.Convertible...)
	for i := range constraints.ResourceRules {
		if slices.Contains(constraints.ResourceRules[i].APIGroups, anyGroup) {
			continue
		}
		for _, version := range constraints.ResourceRules[i].APIVersions {
			if slices.Contains(known, version) {
				continue
			}
			known = append(known, version)
			ok, err := matches(&admission.RuntimeObjectInterfaces{EquivalentResourceMapper: assumption{m.request, version}})
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
func (m *Matcher) otherVersion(what, version string) error {
	arrived := m.request.Resource
	return unanswerable{fmt.Errorf("the %s is about %s in version %s, the object arrived in version %s, and only kube-apiserver can convert it; "+
		"name %s in the %s's rules, or register the gate for version %s only (matchPolicy Equivalent), so that kube-apiserver converts",
		what, arrived.GroupResource(), version, arrived.Version, arrived.Version, what, version)}
}

// EquivalentResourcesFor returns the versions of a resource that are known: the one that was requested, the one to
// which kube-apiserver converted it, and those to which it can be converted here.
func (q *Request) EquivalentResourcesFor(resource schema.GroupVersionResource, _ string) []schema.GroupVersionResource {
	var known []schema.GroupVersionResource
	if q.Resource != resource {
		known = append(known, resource, q.Resource)
	}
	for _, version := range q.Convertible {
		known = append(known, q.Resource.GroupResource().WithVersion(version))
	}
	return known
}

// KindFor returns the kind of a resource that EquivalentResourcesFor returned.
func (q *Request) KindFor(resource schema.GroupVersionResource, _ string) schema.GroupVersionKind {
	switch {
	case resource == q.Resource:
		return q.Kind
	case resource.GroupResource() == q.Resource.GroupResource() && slices.Contains(q.Convertible, resource.Version):
		return q.Kind.GroupKind().WithVersion(resource.Version)
	default:
		return q.GetKind()
	}
}

// converts tells whether the object can be had as kind.
func (q *Request) converts(kind schema.GroupVersionKind) bool {
	return kind == q.Kind || kind.GroupKind() == q.Kind.GroupKind() && slices.Contains(q.Convertible, kind.Version)
}

// assumption is a request whose resource is assumed to be served in one version more.
type assumption struct {
	*Request
	version string
}

// EquivalentResourcesFor adds that version.
func (a assumption) EquivalentResourcesFor(resource schema.GroupVersionResource, subresource string) []schema.GroupVersionResource {
	return append(a.Request.EquivalentResourcesFor(resource, subresource),
		resource.GroupResource().WithVersion(a.version), a.Resource.GroupResource().WithVersion(a.version))
}
