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
	known := []string{anyVersion, m.request.GetResource().Version, m.request.Resource.Version}
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

// EquivalentResourcesFor returns the two versions of a resource that the request speaks of: the one that
// was requested, and the one to which kube-apiserver converted it.
func (q *Request) EquivalentResourcesFor(resource schema.GroupVersionResource, _ string) []schema.GroupVersionResource {
	if q.Resource == resource {
		return nil
	}
	return []schema.GroupVersionResource{resource, q.Resource}
}

// KindFor returns the kind of a resource that EquivalentResourcesFor returned.
func (q *Request) KindFor(resource schema.GroupVersionResource, _ string) schema.GroupVersionKind {
	if resource == q.Resource {
		return q.Kind
	}
	return q.GetKind()
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
