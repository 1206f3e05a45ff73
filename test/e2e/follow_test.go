package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// A kind is followed from when its CustomResourceDefinition and the right to it come, to when they go.
func TestFollow(t *testing.T) {
	t.Parallel()
	control := newControlPlane(t).controlPlane
	admin, client := must(dynamic.NewForConfig(control.Config))(t), must(kubernetes.NewForConfig(control.Config))(t)

	c := must(cluster.Source{Kubeconfig: impersonating(t, control.Kubeconfig, "follower")}.Open(cluster.Options{}))(t)
	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Limit"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	whole := must(c.Follow(kind, cluster.FollowOptions{}))(t)
	small := must(c.Follow(kind, cluster.FollowOptions{MetadataOnly: true}))(t)
	defer whole.Close()
	defer small.Close()
	says := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			matches := true
			for _, o := range []*cluster.Objects{whole, small} {
				err := o.Ready()
				matches = matches && (text == "" && err == nil || text != "" && err != nil && strings.Contains(err.Error(), text))
			}
			if matches {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("whole: %v\nmetadata: %v\nwant %q", whole.Ready(), small.Ready(), text)
			}
		}
	}

	says("does not serve this kind")
	crds := admin.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	must(crds.Create(t.Context(), limitCRD(), metav1.CreateOptions{}))(t)
	says(`cannot list resource "limits"`)
	must(client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "follower"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"limits"}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{}))(t)
	must(client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "follower"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "follower"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "follower"}},
	}, metav1.CreateOptions{}))(t)
	says("")
	if scope := must(whole.Scope())(t); scope.Name() != "root" {
		t.Errorf("scope %s", scope.Name())
	}
	limits := admin.Resource(kind.GroupVersion().WithResource("limits"))
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": int64(3)}}}
	object.SetGroupVersionKind(kind)
	object.SetName("one")
	must(limits.Create(t.Context(), object, metav1.CreateOptions{}))(t)
	deadline := time.Now().Add(effectTimeout)
	for {
		a, errA := whole.Lister().Get("one")
		b, errB := small.Lister().Get("one")
		if errA == nil && errB == nil {
			size, _, _ := unstructured.NestedInt64(a.(*unstructured.Unstructured).Object, "spec", "size")
			m := b.(*metav1.PartialObjectMetadata)
			if size != 3 || m.Kind != "Limit" || m.ManagedFields != nil || a.(*unstructured.Unstructured).GetManagedFields() != nil {
				t.Errorf("kept: %v, %v", a, b)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(errA, errB)
		}
		time.Sleep(10 * time.Millisecond)
	}

	if err := crds.Delete(t.Context(), limitCRD().GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	says("does not serve this kind")
	if _, err := whole.Lister().Get("one"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("Get of a kind that is gone: %v", err)
	}
	if all, err := small.Lister().List(labels.Everything()); err == nil {
		t.Errorf("List of a kind that is gone: %v", all)
	}
}

func limitCRD() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "limits.example.com"},
		"spec": map[string]any{
			"group": "example.com", "scope": "Cluster", "names": map[string]any{"kind": "Limit", "plural": "limits"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}

// impersonating returns the path of a kubeconfig that acts as somebody without rights.
func impersonating(t *testing.T, kubeconfig, user string) string {
	t.Helper()
	text := string(must(os.ReadFile(kubeconfig))(t))
	const users = "  user:\n"
	if strings.Count(text, users) != 1 {
		t.Fatalf("not one user in:\n%s", text)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text = strings.Replace(text, users, users+fmt.Sprintf("    as: %s\n", user), 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
