// Package resource finds the resource of a kind, as kube-apiserver's discovery would tell it.
package resource

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/tree"
)

// Resource is where a kind is served.
type Resource struct {
	schema.GroupVersionResource
	// Namespaced tells whether objects live in namespaces.
	Namespaced bool
	// Guessed is true for a kind that is neither built in nor defined by a CustomResourceDefinition in
	// sight: the plural follows the usual English rules, and it is taken to be namespaced.
	Guessed bool
}

// Mapper knows the built-in kinds and those of some CustomResourceDefinitions. It is safe for
// concurrent use.
type Mapper struct {
	custom map[schema.GroupKind]Resource // without a version
}

// NewMapper returns a Mapper that also knows the kinds of the CustomResourceDefinitions among objects.
func NewMapper(objects []manifest.Object) *Mapper {
	m := &Mapper{custom: map[schema.GroupKind]Resource{}}
	for _, o := range objects {
		if o.Kind() != "CustomResourceDefinition" {
			continue
		}
		spec := o.Root.Get("spec")
		group := spec.GetString("group")
		m.custom[schema.GroupKind{Group: group, Kind: spec.GetString("names", "kind")}] = Resource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Resource: spec.GetString("names", "plural")},
			Namespaced:           spec.GetString("scope") != "Cluster",
		}
	}
	return m
}

// Find returns the resource of a kind. It fails only when apiVersion is malformed.
func (m *Mapper) Find(apiVersion, kind string) (schema.GroupVersionKind, Resource, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return schema.GroupVersionKind{}, Resource{}, fmt.Errorf("apiVersion %q is not VERSION or GROUP/VERSION", apiVersion)
	}
	gvk := gv.WithKind(kind)
	if r, ok := m.custom[gvk.GroupKind()]; ok {
		r.Version = gvk.Version
		return gvk, r, nil
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	clusterScoped := isClusterScoped(gvk.GroupKind())
	return gvk, Resource{
		GroupVersionResource: plural,
		Namespaced:           !clusterScoped,
		Guessed:              !clusterScoped && !scheme.Scheme.Recognizes(gvk),
	}, nil
}

// Versions returns the apiVersions in which a kind of this name is built in, preferred ones first, at most
// one of each group; mostly one or none.
func Versions(kind string) []string {
	var all []string
	for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		seen := func(apiVersion string) bool {
			other, err := schema.ParseGroupVersion(apiVersion)
			return err == nil && other.Group == gv.Group
		}
		// Group extensions is of the past: its kinds have moved, and the Go types are kept for old objects.
		if gv.Group != "extensions" && scheme.Scheme.Recognizes(gv.WithKind(kind)) && !slices.ContainsFunc(all, seen) {
			all = append(all, gv.String())
		}
	}
	return all
}

// OfObject returns the kind and resource of an object.
func (m *Mapper) OfObject(root *tree.Node) (schema.GroupVersionKind, Resource, error) {
	return m.Find(root.GetString("apiVersion"), root.GetString("kind"))
}

// isClusterScoped tells whether a built-in kind is cluster-scoped. The Go types do not say it; a test
// compares this list with client-go's typed clients, which do.
func isClusterScoped(gk schema.GroupKind) bool {
	switch gk.Group {
	case "":
		switch gk.Kind {
		case "ComponentStatus", "Namespace", "Node", "PersistentVolume":
			return true
		}
	case "rbac.authorization.k8s.io":
		return gk.Kind == "ClusterRole" || gk.Kind == "ClusterRoleBinding"
	case "storage.k8s.io":
		return gk.Kind != "CSIStorageCapacity"
	case "authorization.k8s.io":
		return gk.Kind != "LocalSubjectAccessReview"
	case "scheduling.k8s.io":
		return gk.Kind == "PriorityClass"
	case "networking.k8s.io":
		return gk.Kind != "Ingress" && gk.Kind != "NetworkPolicy"
	case "certificates.k8s.io":
		return gk.Kind != "PodCertificateRequest"
	case "resource.k8s.io":
		return gk.Kind != "ResourceClaim" && gk.Kind != "ResourceClaimTemplate"
	case "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io",
		"flowcontrol.apiserver.k8s.io", "imagepolicy.k8s.io", "internal.apiserver.k8s.io", "node.k8s.io",
		"storagemigration.k8s.io":
		return true
	}
	return false
}
