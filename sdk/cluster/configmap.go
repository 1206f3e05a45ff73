package cluster

import (
	"context"
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// configMap is a single ConfigMap of a cluster. A live cluster's is filled by a reflector.
type configMap struct {
	name    types.NamespacedName
	current atomic.Pointer[corev1.ConfigMap] // nil: there is none
	listed  atomic.Bool
}

// get is Cluster.ConfigMap.
func (c *configMap) get() (*corev1.ConfigMap, error) {
	if !c.listed.Load() {
		return nil, fmt.Errorf("configmap %s: not yet listed from the apiserver", c.name)
	}
	if current := c.current.Load(); current != nil {
		return current, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), c.name.Name)
}

// reflector returns what keeps c up to date. It asks for no other ConfigMap, so that a right to this one is
// enough, and so that others may be as many and as large as they like.
func (c *configMap) reflector(client kubernetes.Interface) *cache.Reflector {
	inNamespace := client.CoreV1().ConfigMaps(c.name.Namespace)
	named := fields.OneTermEqualSelector(metav1.ObjectNameField, c.name.Name).String()
	return cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = named
			return inNamespace.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.FieldSelector = named
			return inNamespace.Watch(ctx, o)
		},
	}, client), &corev1.ConfigMap{}, c, cache.ReflectorOptions{Name: "configmap " + c.name.String()})
}

// set takes obj, of which it may change what is not kept.
func (c *configMap) set(obj any) error {
	trimmed, err := trim(obj)
	if err != nil {
		return err
	}
	next, ok := trimmed.(*corev1.ConfigMap)
	if !ok {
		return fmt.Errorf("%T is not a ConfigMap", obj)
	}
	if next.Name == c.name.Name { // not so where a field selector is not understood
		c.current.Store(next)
	}
	return nil
}

// Replace implements cache.ReflectorStore. After a watch was lost all that is there is listed again, changed
// or not.
func (c *configMap) Replace(list []any, _ string) error {
	next := configMap{name: c.name}
	for _, obj := range list {
		if err := next.set(obj); err != nil {
			return err
		}
	}
	if was, is := c.current.Load(), next.current.Load(); was == nil || is == nil ||
		was.UID != is.UID || was.ResourceVersion != is.ResourceVersion {
		c.current.Store(is)
	}
	c.listed.Store(true)
	return nil
}

// Add implements cache.ReflectorStore.
func (c *configMap) Add(obj any) error { return c.set(obj) }

// Update implements cache.ReflectorStore.
func (c *configMap) Update(obj any) error { return c.set(obj) }

// Delete implements cache.ReflectorStore.
func (c *configMap) Delete(obj any) error {
	if gone, ok := obj.(*corev1.ConfigMap); ok && gone.Name == c.name.Name {
		c.current.Store(nil)
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (c *configMap) Resync() error { return nil }
