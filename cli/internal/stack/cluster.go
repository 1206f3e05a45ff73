package stack

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// Cluster returns a fixed cluster of the Namespaces and ServiceAccounts among objects. A ServiceAccount
// without a namespace is in defaultNamespace. Namespaces that wanted names and that are not among the
// objects are taken to exist, with no labels of their own; they are returned as assumed.
func Cluster(objects []manifest.Object, defaultNamespace string, wanted []string) (c *cluster.Cluster, assumed []string, err error) {
	var all []runtime.Object
	known := map[string]bool{}
	for _, o := range objects {
		if o.APIVersion() != "v1" || o.Kind() != "Namespace" && o.Kind() != "ServiceAccount" {
			continue
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(o.Root.JSON()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", o.Source, err)
		}
		switch {
		case o.Kind() == "Namespace":
			known[o.Name()] = true
			u.SetLabels(withName(u.GetLabels(), o.Name()))
		case u.GetNamespace() == "":
			u.SetNamespace(defaultNamespace)
		}
		all = append(all, u)
	}
	for _, name := range wanted {
		if known[name] {
			continue
		}
		known[name] = true
		assumed = append(assumed, name)
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: withName(nil, name)}})
	}
	c, err = cluster.FromObjects(all...)
	return c, assumed, err
}

// withName adds the label that kube-apiserver gives every namespace.
func withName(labels map[string]string, name string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = name
	return labels
}
