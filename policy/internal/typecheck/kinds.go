package typecheck

import (
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/gatefold/gatefold/policy/internal/document"
)

// maxKinds is how many kinds of a policy are looked at, as in k8s.io/apiserver.
const maxKinds = 10

// kinds tells the kind of a resource.
type kinds map[schema.GroupVersionResource]schema.GroupVersionKind

func newKinds(docs []*document.Document) kinds {
	k := kinds{}
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version != "__internal" && !strings.HasSuffix(gvk.Kind, "List") {
			plural, _ := meta.UnsafeGuessKindToResource(gvk) // right for all that are built in
			k[plural] = gvk
		}
	}
	for _, d := range docs {
		kind, ok := d.Defines()
		if !ok {
			continue
		}
		plural, _, _ := unstructured.NestedString(d.Object.Object, "spec", "names", "plural")
		versions, _, _ := unstructured.NestedSlice(d.Object.Object, "spec", "versions")
		for _, version := range versions {
			fields, _ := version.(map[string]any)
			name, _, _ := unstructured.NestedString(fields, "name")
			k[schema.GroupVersionResource{Group: kind.Group, Version: name, Resource: plural}] = kind.WithVersion(name)
		}
	}
	return k
}

// sameKind are subresources whose objects are of the kind of their resource, in every resource that has them.
var sameKind = []string{"status", "ephemeralcontainers", "resize", "finalize", "approval"}

// of returns the kinds that constraints name; none when one of them is not known, or there is a wildcard.
func (k kinds) of(constraints *v1.MatchResources) []schema.GroupVersionKind {
	var found []schema.GroupVersionKind
	if constraints == nil {
		return nil
	}
	for _, rule := range constraints.ResourceRules {
		for _, group := range rule.APIGroups {
			for _, version := range rule.APIVersions {
				for _, resource := range rule.Resources {
					name, subresource, isSub := strings.Cut(resource, "/")
					gvk, ok := k[schema.GroupVersionResource{Group: group, Version: version, Resource: name}]
					if !ok || isSub && !slices.Contains(sameKind, subresource) {
						return nil
					}
					found = append(found, gvk)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b schema.GroupVersionKind) int {
		return slices.Compare([]string{a.Group, a.Version, a.Kind}, []string{b.Group, b.Version, b.Kind})
	})
	found = slices.Compact(found)
	return found[:min(len(found), maxKinds)]
}
