package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/gatefold/gatefold/sdk/cluster"
)

func configMap(namespace, name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: "u", ResourceVersion: "7",
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Data:       map[string]string{"key": value},
		BinaryData: map[string][]byte{"large": {0}},
	}
}

// follow runs a live cluster that watches ConfigMap one/rules and waits until it is ready.
func follow(t *testing.T, client *fake.Clientset) *cluster.Cluster {
	t.Helper()
	rules := types.NamespacedName{Namespace: "one", Name: "rules"}
	c, err := cluster.New(client, cluster.Options{ConfigMaps: []types.NamespacedName{rules, rules}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ConfigMap("one", "rules"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("before anything was listed: %v, want an error that does not say not found", err)
	}
	if err := c.Ready(t.Context()); err == nil {
		t.Error("ready before anything was listed")
	}
	run(t, c)
	return c
}

// run runs c until the test ends, and waits until it is ready.
func run(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	eventually(t, func() bool { return c.Ready(ctx) == nil })
}

func TestConfigMap(t *testing.T) {
	client := fake.NewClientset(configMap("one", "others", "1"), configMap("two", "rules", "2"))
	c := follow(t, client)
	absent := func() bool { _, err := c.ConfigMap("one", "rules"); return apierrors.IsNotFound(err) }
	if !absent() {
		t.Error("a ConfigMap that does not exist is found")
	}
	if cm, err := c.ConfigMap("one", "others"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("a ConfigMap that is not watched: %v, %v; want an error that does not say not found", cm, err)
	}

	configMaps := client.CoreV1().ConfigMaps("one")
	if _, err := configMaps.Create(t.Context(), configMap("one", "rules", "a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !absent() })
	first, err := c.ConfigMap("one", "rules")
	if err != nil {
		t.Fatal(err)
	}
	want := configMap("one", "rules", "a")
	want.ManagedFields, want.BinaryData, want.TypeMeta = nil, nil, first.TypeMeta // which the fake sets
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("kept of the ConfigMap (-want +got):\n%s", diff)
	}

	if _, err := configMaps.Update(t.Context(), configMap("one", "rules", "b"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { cm, err := c.ConfigMap("one", "rules"); return err == nil && cm.Data["key"] == "b" })
	if first.Data["key"] != "a" {
		t.Error("what was returned has changed")
	}

	if err := configMaps.Delete(t.Context(), "others", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if time.Sleep(time.Millisecond); absent() {
			t.Fatal("gone with another ConfigMap")
		}
	}
	if err := configMaps.Delete(t.Context(), "rules", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, absent)

	for _, action := range client.Actions() {
		var restriction string
		switch a := action.(type) {
		case kubetesting.ListAction:
			restriction = a.GetListRestrictions().Fields.String()
		case kubetesting.WatchAction:
			restriction = a.GetWatchRestrictions().Fields.String()
		default:
			continue
		}
		if action.GetNamespace() != "one" || restriction != "metadata.name=rules" {
			t.Errorf("%s of namespace %q, fields %q", action.GetVerb(), action.GetNamespace(), restriction)
		}
	}
}

// A watch that is lost makes everything be listed again.
func TestConfigMapAfterALostWatch(t *testing.T) {
	t.Parallel() // client-go takes a second or two before it lists again
	client := fake.NewClientset(configMap("one", "rules", "a"))
	watches := make(chan *watch.FakeWatcher)
	client.PrependWatchReactor("configmaps", func(kubetesting.Action) (bool, watch.Interface, error) {
		w := watch.NewFake()
		select {
		case watches <- w:
		case <-t.Context().Done():
		}
		return true, w, nil
	})
	c := follow(t, client)
	first, err := c.ConfigMap("one", "rules")
	if err != nil {
		t.Fatal(err)
	}
	lose := func(w *watch.FakeWatcher) (next *watch.FakeWatcher) {
		w.Error(&apierrors.NewResourceExpired("too old").ErrStatus)
		return <-watches // it begins when all is listed
	}
	w := lose(<-watches)
	if again, err := c.ConfigMap("one", "rules"); again != first {
		t.Errorf("unchanged, yet another pointer: %v, %v", again, err)
	}
	if err := client.CoreV1().ConfigMaps("one").Delete(t.Context(), "rules", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	lose(w)
	if cm, err := c.ConfigMap("one", "rules"); !apierrors.IsNotFound(err) {
		t.Errorf("deleted meanwhile: %v, %v", cm, err)
	}
}

func TestConfigMapNeedsItsName(t *testing.T) {
	for _, name := range []types.NamespacedName{{Name: "a"}, {Namespace: "a"}} {
		if _, err := cluster.New(fake.NewClientset(), cluster.Options{ConfigMaps: []types.NamespacedName{name}}); err == nil {
			t.Errorf("watching %q: no error", name)
		}
	}
}

func TestConfigMapFromObjects(t *testing.T) {
	objects, err := cluster.ParseObjects("f", []byte(`
apiVersion: v1
kind: ConfigMap
metadata: {name: unplaced}
data: {key: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: unplaced}
data: {key: b}
binaryData: {large: AA==}
`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.FromObjects(objects[0], objects[1], configMap("one", "rules", "c"))
	if err != nil {
		t.Fatal(err)
	}
	unplaced, err := c.ConfigMap("default", "unplaced")
	if err != nil || unplaced.Data["key"] != "b" || unplaced.BinaryData != nil {
		t.Errorf("a ConfigMap without a namespace: %v, %v", unplaced, err)
	}
	if again, _ := c.ConfigMap("default", "unplaced"); again != unplaced {
		t.Error("unchanged, yet another pointer")
	}
	if rules, err := c.ConfigMap("one", "rules"); err != nil || rules.Data["key"] != "c" || rules.ManagedFields != nil {
		t.Errorf("a typed ConfigMap: %v, %v", rules, err)
	}
	if _, err := c.ConfigMap("two", "rules"); !apierrors.IsNotFound(err) {
		t.Errorf("a ConfigMap that is not there: %v, want not found", err)
	}
}
