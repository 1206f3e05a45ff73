package stack

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// Cluster returns a fixed cluster of the Namespaces, ServiceAccounts and ConfigMaps among objects. What has to
// have a namespace and names none is in defaultNamespace. Namespaces that wanted names and that are not among
// the objects are taken to exist, with no labels of their own; they are returned as assumed.
func Cluster(objects []manifest.Object, defaultNamespace string, wanted []string) (c *cluster.Cluster, assumed []string, err error) {
	var all []runtime.Object
	known := map[string]bool{}
	for _, o := range objects {
		if o.APIVersion() != "v1" {
			continue
		}
		switch o.Kind() {
		case "Namespace":
			ns := &corev1.Namespace{}
			err = decode(o, ns)
			ns.Labels = withName(ns.Labels, ns.Name)
			known[ns.Name] = true
			all = append(all, ns)
		case "ServiceAccount":
			sa := &corev1.ServiceAccount{}
			err = decode(o, sa)
			sa.Namespace = cmp.Or(sa.Namespace, defaultNamespace)
			all = append(all, sa)
		case "ConfigMap":
			cm := &corev1.ConfigMap{}
			err = decode(o, cm)
			cm.Namespace = cmp.Or(cm.Namespace, defaultNamespace)
			all = append(all, cm)
		}
		if err != nil {
			return nil, nil, err
		}
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

// decode reads an object strictly enough that a label which is no text is found here and not overlooked.
func decode(o manifest.Object, into runtime.Object) error {
	if err := json.UnmarshalCaseSensitivePreserveInts(o.Root.JSON(), into); err != nil {
		return fmt.Errorf("%s: %s: %w", o.Source, o.Ref(), err)
	}
	return nil
}

// withName adds the label that kube-apiserver gives every namespace.
func withName(labels map[string]string, name string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = name
	return labels
}
