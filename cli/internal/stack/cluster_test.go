package stack_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/sdk/cluster"
)

func TestCluster(t *testing.T) {
	objects, err := manifest.Parse("objects.yaml", []byte(`
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: blue}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: unplaced}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: unplaced}
data: {key: value}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: placed, namespace: shop}
---
apiVersion: example.com/v1
kind: ConfigMap
metadata: {name: foreign, namespace: shop}
`))
	if err != nil {
		t.Fatal(err)
	}
	c, assumed, err := stack.Cluster(objects, "here", []string{"shop", "here"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"here"}, assumed); diff != "" {
		t.Errorf("assumed (-want +got):\n%s", diff)
	}
	if namespaces, err := c.Namespaces.List(labels.Everything()); err != nil || len(namespaces) != 2 {
		t.Errorf("namespaces: %v, %v", namespaces, err)
	}
	if shop, err := c.Namespaces.Get("shop"); err != nil || shop.Labels["team"] != "blue" || shop.Labels[corev1.LabelMetadataName] != "shop" {
		t.Errorf("namespace shop: %v, %v", shop, err)
	}
	if _, err := c.ServiceAccounts.ServiceAccounts("here").Get("unplaced"); err != nil {
		t.Errorf("a ServiceAccount without a namespace: %v", err)
	}
	if cm, err := c.ConfigMap("here", "unplaced"); err != nil || cm.Data["key"] != "value" {
		t.Errorf("a ConfigMap without a namespace: %v, %v", cm, err)
	}
	if _, err := c.ConfigMap("shop", "placed"); err != nil {
		t.Errorf("a ConfigMap with a namespace: %v", err)
	}
	if _, err := c.ConfigMap("shop", "foreign"); err == nil {
		t.Error("a ConfigMap of another API group is none")
	}
	foreign, err := c.Follow(schema.FromAPIVersionAndKind("example.com/v1", "ConfigMap"), cluster.FollowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Lister().ByNamespace("shop").Get("foreign"); err != nil {
		t.Errorf("an object of any other kind: %v", err)
	}
}

func TestClusterOfBadObjects(t *testing.T) {
	objects, err := manifest.Parse("objects.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {replicas: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := stack.Cluster(objects, "here", nil); err == nil {
		t.Error("a number in a ConfigMap's data: no error")
	}
}
