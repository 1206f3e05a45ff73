package cluster

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
)

// What client-go asks for without naming a namespace has none: that is where the list is from.
func TestClusterScopedKinds(t *testing.T) {
	want := []string{ // which have clients of their own
		"APIService.apiregistration.k8s.io", "CustomResourceDefinition.apiextensions.k8s.io",
	}
	namespaced := 0
	groups := reflect.TypeFor[kubernetes.Interface]()
	for g := range groups.NumMethod() {
		group := groups.Method(g).Type
		if group.NumOut() != 1 || group.Out(0).Kind() != reflect.Interface {
			continue
		}
		for m := range group.Out(0).NumMethod() {
			get := group.Out(0).Method(m).Type
			if get.NumOut() != 1 || get.Out(0).Kind() != reflect.Interface {
				continue
			}
			list, ok := get.Out(0).MethodByName("Get")
			if !ok || list.Type.NumOut() != 2 {
				continue
			}
			object, ok := reflect.New(list.Type.Out(0).Elem()).Interface().(runtime.Object)
			if !ok {
				continue
			}
			kinds, _, err := scheme.Scheme.ObjectKinds(object)
			if err != nil {
				t.Fatal(err)
			}
			if get.NumIn() > 0 {
				namespaced++
				continue
			}
			want = append(want, kinds[0].GroupKind().String())
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if len(want) < 20 || namespaced < 30 {
		t.Fatalf("%d without a namespace, %d with one: client-go looks different now", len(want), namespaced)
	}
	if diff := cmp.Diff(want, clusterScoped()); diff != "" {
		t.Errorf("kinds without a namespace (-want +got); correct clusterScoped:\n%s", diff)
	}
}

func TestBuiltInScope(t *testing.T) {
	for kind, want := range map[schema.GroupKind]string{
		{Kind: "Pod"}: "namespace", {Kind: "Node"}: "root", {Group: "example.com", Kind: "Node"}: "",
		{Group: "storage.k8s.io", Kind: "StorageClass"}: "root", {Group: "apps", Kind: "Deployment"}: "namespace",
	} {
		scope, ok := BuiltInScope(kind)
		got := ""
		if ok {
			got = string(scope.Name())
		}
		if got != want {
			t.Errorf("scope of %s: %q, want %q", kind, got, want)
		}
	}
}
