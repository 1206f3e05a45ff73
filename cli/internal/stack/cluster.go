package stack

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// Cluster returns a fixed cluster of objects. What has to have a namespace and names none is in
// defaultNamespace. Namespaces that wanted names and that are not among the objects are taken to exist, with no
// labels of their own; they are returned as assumed.
func Cluster(objects []manifest.Object, defaultNamespace string, wanted []string) (c *cluster.Cluster, assumed []string, err error) {
	var all []runtime.Object
	known := map[string]bool{}
	for _, o := range objects {
		object, err := decode(o)
		if err != nil {
			return nil, nil, err
		}
		if ns, ok := object.(*corev1.Namespace); ok {
			ns.Labels = withName(ns.Labels, ns.Name)
			known[ns.Name] = true
		}
		all = append(all, object)
	}
	for _, name := range wanted {
		if known[name] {
			continue
		}
		known[name] = true
		assumed = append(assumed, name)
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: withName(nil, name)}})
	}
	c, err = cluster.FromObjectsIn(defaultNamespace, all...)
	return c, assumed, err
}

// decode reads an object; of the kinds that are looked at here strictly enough that a label which is no text is
// found now and not overlooked.
func decode(o manifest.Object) (runtime.Object, error) {
	var object runtime.Object
	var into any
	switch {
	case o.APIVersion() == "v1" && o.Kind() == "Namespace":
		object = &corev1.Namespace{}
	case o.APIVersion() == "v1" && o.Kind() == "ServiceAccount":
		object = &corev1.ServiceAccount{}
	case o.APIVersion() == "v1" && o.Kind() == "ConfigMap":
		object = &corev1.ConfigMap{}
	default: // whatever it is, it is decoded into no type, so there is nothing to be strict about
		u := &unstructured.Unstructured{}
		object, into = u, &u.Object
	}
	if into == nil {
		into = object
	}
	if err := json.UnmarshalCaseSensitivePreserveInts(o.Root.JSON(), into); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", o.Source, o.Ref(), err)
	}
	return object, nil
}

// withName adds the label that kube-apiserver gives every namespace.
func withName(labels map[string]string, name string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = name
	return labels
}
