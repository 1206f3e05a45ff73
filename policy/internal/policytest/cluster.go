package policytest

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// ConfigMap returns a ConfigMap that is labelled as from the cluster.
func ConfigMap(namespace, name, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"from": "cluster"}},
		Data:       map[string]string{"text": text, "ok": "no"},
	}
}

// LiveCluster is one that follows a fake apiserver with objects, until the test ends.
func LiveCluster(t *testing.T, objects ...*corev1.ConfigMap) *cluster.Cluster {
	t.Helper()
	c := UnlistedCluster(t, objects...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("following the cluster: %v", err)
		}
	})
	return c
}

// UnlistedCluster is a live one that is not run.
func UnlistedCluster(t *testing.T, objects ...*corev1.ConfigMap) *cluster.Cluster {
	t.Helper()
	client := fake.NewClientset()
	client.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "configmaps", Kind: "ConfigMap", Namespaced: true}}}}
	c, err := cluster.New(client, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for _, o := range objects {
		all = append(all, o)
	}
	c.Dynamic = dynamicfake.NewSimpleDynamicClient(scheme, all...)
	return c
}

// Eventually waits until something is so.
func Eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never")
		}
	}
}
