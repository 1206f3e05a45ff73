package resource

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/gatefold/gatefold/cli/internal/manifest"
)

// TestBuiltIns compares plural and scope of every built-in kind with client-go's typed clients: there
// a method such as Pods(namespace string) says that "pods" are namespaced, and Nodes() that "nodes"
// are not.
func TestBuiltIns(t *testing.T) {
	m := NewMapper(nil)
	clients := reflect.TypeFor[kubernetes.Interface]()
	checked := 0
	for group := range clients.Methods() {
		if group.Type.NumOut() != 1 || group.Name == "Discovery" {
			continue
		}
		resources := group.Type.Out(0)
		for method := range resources.Methods() {
			if method.Name == "RESTClient" {
				continue
			}
			gvk, ok := kindOf(method.Type.Out(0))
			if !ok {
				continue
			}
			_, got, err := m.Find(gvk.GroupVersion().String(), gvk.Kind)
			if err != nil {
				t.Fatal(err)
			}
			want := Resource{
				GroupVersionResource: gvk.GroupVersion().WithResource(strings.ToLower(method.Name)),
				Namespaced:           method.Type.NumIn() == 1,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", gvk, diff)
			}
			checked++
		}
	}
	if checked < 50 {
		t.Errorf("only %d kinds found in client-go", checked)
	}
}

// kindOf returns the kind that a typed client creates.
func kindOf(client reflect.Type) (schema.GroupVersionKind, bool) {
	create, ok := client.MethodByName("Create")
	if !ok {
		return schema.GroupVersionKind{}, false
	}
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if create.Type.Out(0) == reflect.PointerTo(typ) {
			return gvk, true
		}
	}
	return schema.GroupVersionKind{}, false
}

func TestFind(t *testing.T) {
	crds, err := manifest.Parse("crd.yaml", []byte(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: oxen.farm.example.com}
spec: {group: farm.example.com, scope: Cluster, names: {kind: Ox, plural: oxen}}
`))
	if err != nil {
		t.Fatal(err)
	}
	m := NewMapper(crds)
	cases := map[string]struct {
		apiVersion, kind string
		want             Resource
	}{
		"built in":                 {"apps/v1", "Deployment", Resource{gvr("apps", "v1", "deployments"), true, false}},
		"of a CRD":                 {"farm.example.com/v2", "Ox", Resource{gvr("farm.example.com", "v2", "oxen"), false, false}},
		"a CRD itself":             {"apiextensions.k8s.io/v1", "CustomResourceDefinition", Resource{gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions"), false, false}},
		"unknown":                  {"example.com/v1", "Policy", Resource{gvr("example.com", "v1", "policies"), true, true}},
		"same kind, another group": {"example.com/v1", "Node", Resource{gvr("example.com", "v1", "nodes"), true, true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, got, err := m.Find(tc.apiVersion, tc.kind)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("resource (-want +got):\n%s", diff)
			}
		})
	}
	if _, _, err := m.Find("a/b/c", "X"); err == nil {
		t.Error("apiVersion a/b/c is accepted")
	}
}

func TestVersions(t *testing.T) {
	for kind, want := range map[string][]string{
		"Deployment":              {"apps/v1"},
		"HorizontalPodAutoscaler": {"autoscaling/v1"},
		"Pod":                     {"v1"},
		"Ox":                      nil,
	} {
		got := Versions(kind)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}
