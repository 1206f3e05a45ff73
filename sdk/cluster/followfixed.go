package cluster

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
)

// fixed are all objects of a fixed cluster.
type fixed struct {
	namespace string // of what needs one and has none
	objects   []runtime.Object
}

// fixedObjects are the objects of a kind of a fixed cluster. They are what there is from the beginning.
type fixedObjects struct {
	kind    schema.GroupVersionKind
	scope   meta.RESTScope
	indexer cache.Indexer
}

// of returns the objects of a kind.
func (f fixed) of(kind schema.GroupVersionKind, o FollowOptions) *fixedObjects {
	var own []*unstructured.Unstructured
	for _, object := range f.objects {
		is := kindOf(object)
		if is.GroupKind() != kind.GroupKind() || kind.Version != "" && kind.Version != is.Version {
			continue
		}
		// A name that the apiserver is to make up is not there yet.
		if single, err := toUnstructured(object, is); err == nil && single.GetName() != "" {
			own = append(own, single)
		}
	}
	all := &fixedObjects{
		kind: kind, scope: f.scopeOf(kind.GroupKind(), own),
		indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}),
	}
	for _, object := range own {
		if all.scope.Name() == meta.RESTScopeNameNamespace {
			object.SetNamespace(cmp.Or(object.GetNamespace(), f.namespace))
		} else {
			object.SetNamespace("")
		}
		var kept any = object
		if o.MetadataOnly {
			kept = metadataOf(object)
		}
		_ = all.indexer.Add(trimObject(kept, object.GroupVersionKind())) // it has metadata, so it has a key
	}
	return all
}

// kindOf returns the kind of an object: what it says, or that of its Go type.
func kindOf(object runtime.Object) schema.GroupVersionKind {
	if kind := object.GetObjectKind().GroupVersionKind(); kind.Kind != "" {
		return kind
	}
	if kinds, _, err := scheme.Scheme.ObjectKinds(object); err == nil {
		return kinds[0]
	}
	return schema.GroupVersionKind{}
}

// toUnstructured returns a copy of an object. The error says that it has a shape that no object has.
func toUnstructured(object runtime.Object, kind schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object.DeepCopyObject())
	if err != nil {
		return nil, err
	}
	single := &unstructured.Unstructured{Object: content}
	single.SetGroupVersionKind(kind)
	return single, nil
}

// metadataOf returns what is kept of an object when only its metadata is.
func metadataOf(o *unstructured.Unstructured) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	fields, _, _ := unstructured.NestedMap(o.Object, "metadata")
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &m.ObjectMeta); err != nil {
		// Something in it has the wrong type. What can be found by is left.
		m.ObjectMeta = metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), Labels: o.GetLabels(), Annotations: o.GetAnnotations()}
	}
	return m
}

func (o *fixedObjects) ready() error                   { return nil }
func (o *fixedObjects) lost() (time.Time, error)       { return time.Time{}, nil }
func (o *fixedObjects) Scope() (meta.RESTScope, error) { return o.scope, nil }

func (o *fixedObjects) Lister() cache.GenericLister {
	return cache.NewGenericLister(o.indexer, resourceOf(o.kind))
}

func (o *fixedObjects) Informer() cache.SharedIndexInformer {
	return &fixedInformer{indexer: o.indexer}
}

// fixedInformer is an informer that has nothing to do. Other methods than those below are nil.
type fixedInformer struct {
	cache.SharedIndexInformer
	indexer cache.Indexer
}

// HasSynced implements cache.SharedInformer.
func (i *fixedInformer) HasSynced() bool { return true }

// GetStore implements cache.SharedInformer.
func (i *fixedInformer) GetStore() cache.Store { return i.indexer }

// GetIndexer implements cache.SharedIndexInformer.
func (i *fixedInformer) GetIndexer() cache.Indexer { return i.indexer }

// AddEventHandler implements cache.SharedInformer.
func (i *fixedInformer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	for _, key := range slices.Sorted(slices.Values(i.indexer.ListKeys())) {
		if object, ok, err := i.indexer.GetByKey(key); ok && err == nil {
			handler.OnAdd(object, true)
		}
	}
	return fixedRegistration{}, nil
}

// RemoveEventHandler implements cache.SharedInformer.
func (i *fixedInformer) RemoveEventHandler(cache.ResourceEventHandlerRegistration) error { return nil }

// fixedRegistration is that of a handler which has seen everything.
type fixedRegistration struct {
	cache.ResourceEventHandlerRegistration
}

// HasSynced implements cache.ResourceEventHandlerRegistration.
func (fixedRegistration) HasSynced() bool { return true }
