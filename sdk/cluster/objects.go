package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/stream"
)

// FromObjects returns a fixed cluster of objects of any kind, typed or unstructured, which must not be changed
// afterwards. Of two with the same name the later one counts. What needs a namespace and has none is in
// "default", as with kubectl apply.
func FromObjects(objects ...runtime.Object) (*Cluster, error) {
	return FromObjectsIn(corev1.NamespaceDefault, objects...)
}

// FromObjectsIn is FromObjects with another namespace for what needs one and has none.
func FromObjectsIn(namespace string, objects ...runtime.Object) (*Cluster, error) {
	namespaces := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	accounts := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	configMaps := map[types.NamespacedName]*configMap{}
	for _, object := range objects {
		typed, err := typed(object)
		if err != nil {
			return nil, err
		}
		if typed, err = trim(typed); err != nil {
			return nil, err
		}
		switch o := typed.(type) {
		case *corev1.Namespace:
			err = namespaces.Add(o)
		case *corev1.ServiceAccount:
			o.Namespace = cmp.Or(o.Namespace, namespace)
			err = accounts.Add(o)
		case *corev1.ConfigMap:
			o.Namespace = cmp.Or(o.Namespace, namespace)
			name := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
			configMaps[name] = &configMap{name: name}
			err = configMaps[name].Replace([]any{o}, "")
		}
		if err != nil {
			return nil, fmt.Errorf("keeping an object: %w", err)
		}
	}
	return &Cluster{
		Namespaces:      corev1listers.NewNamespaceLister(namespaces),
		ServiceAccounts: corev1listers.NewServiceAccountLister(accounts),
		configMaps:      configMaps,
		fixed:           fixed{namespace: namespace, objects: objects},
		known:           true,
	}, nil
}

// typed returns a copy of object, as its Go type where a cluster keeps its kind.
func typed(object runtime.Object) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object.DeepCopyObject(), nil
	}
	var into runtime.Object
	switch u.GroupVersionKind() {
	case corev1.SchemeGroupVersion.WithKind("Namespace"):
		into = &corev1.Namespace{}
	case corev1.SchemeGroupVersion.WithKind("ServiceAccount"):
		into = &corev1.ServiceAccount{}
	case corev1.SchemeGroupVersion.WithKind("ConfigMap"):
		into = &corev1.ConfigMap{}
	default:
		return u, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return nil, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return into, nil
}

// ReadObjects reads the objects in files, in their order: streams of YAML documents or of JSON values, of
// any kinds. Lists are taken apart. An error names the file and the line at which the document begins.
func ReadObjects(files ...string) ([]runtime.Object, error) {
	var all []runtime.Object
	var errs []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading objects: %w", err))
			continue
		}
		objects, err := ParseObjects(file, data)
		if err != nil {
			errs = append(errs, err)
		}
		for _, object := range objects {
			all = append(all, object)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

// ParseObjects is ReadObjects for one file's content; name stands for its path. Numbers are kept as int64
// where they are whole. The error is a config.Problems.
func ParseObjects(name string, data []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	var problems config.Problems
	for _, d := range stream.Split(data) {
		raw, root, bad := d.Read(name)
		problems = append(problems, bad...)
		if root == nil {
			continue
		}
		objects, err := expand(raw)
		if err != nil {
			problems = append(problems, config.Problem{File: name, Line: root.Line, Message: err.Error()})
		}
		all = append(all, objects...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return all, nil
}

// expand returns the object in raw, or those of a list.
func expand(raw []byte) ([]*unstructured.Unstructured, error) {
	object, _, err := unstructured.UnstructuredJSONScheme.Decode(raw, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("not an object of the Kubernetes API: %w", err)
	}
	if single, ok := object.(*unstructured.Unstructured); ok && !single.IsList() {
		return []*unstructured.Unstructured{single}, nil
	}
	var items []*unstructured.Unstructured
	err = meta.EachListItem(object, func(item runtime.Object) error {
		single, ok := item.(*unstructured.Unstructured)
		if !ok || single.GetKind() == "" {
			return fmt.Errorf("item %d of the list has no kind", len(items))
		}
		items = append(items, single)
		return nil
	})
	return items, err
}
