package cluster

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// readyLister answers nothing as long as it is not known what there is.
type readyLister struct {
	ready func() error
	cache.GenericLister
}

// List implements cache.GenericLister.
func (l readyLister) List(selector labels.Selector) ([]runtime.Object, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	return l.GenericLister.List(selector)
}

// Get implements cache.GenericLister.
func (l readyLister) Get(name string) (runtime.Object, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	return l.GenericLister.Get(name)
}

// ByNamespace implements cache.GenericLister.
func (l readyLister) ByNamespace(namespace string) cache.GenericNamespaceLister {
	return readyNamespaceLister{l.ready, l.GenericLister.ByNamespace(namespace)}
}

// readyNamespaceLister is readyLister for one namespace.
type readyNamespaceLister struct {
	ready func() error
	cache.GenericNamespaceLister
}

// List implements cache.GenericNamespaceLister.
func (l readyNamespaceLister) List(selector labels.Selector) ([]runtime.Object, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	return l.GenericNamespaceLister.List(selector)
}

// Get implements cache.GenericNamespaceLister.
func (l readyNamespaceLister) Get(name string) (runtime.Object, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	return l.GenericNamespaceLister.Get(name)
}
