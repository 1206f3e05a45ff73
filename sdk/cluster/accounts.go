package cluster

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"unique"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// What listing may take for a moment. The decoding of 50,000 ServiceAccounts of 2 kB leaves 350 MB of garbage,
// which a process that lets its heap grow to five times what is live would collect late: without either constant
// 60 MB are resident at the peak when they are streamed, beside the program itself, and 510 MB when they are
// listed; with both it is 26 MB and 41 MB. BenchmarkServiceAccounts50k tells.
const (
	collectEvery = 1000 // objects: 7 MB of garbage, for a collection of some 8 ms
	pageSize     = 500  // for an apiserver that cannot stream
)

// accounts keeps the ServiceAccounts of a live cluster, in a sixth of what an informer would take for objects
// that are cut down as far: 5.5 MB instead of 31 MB for 50,000, a fifth of them with an annotation. A reflector
// fills it; it is safe for concurrent use.
type accounts struct {
	keep func(key string) bool // nil: all annotations

	mu     sync.RWMutex
	byKey  map[string]*annotation // nil for a ServiceAccount that is there, with no annotation to keep
	listed atomic.Bool
}

// annotation is an annotation of a ServiceAccount, and its next one: for the one or two that most have, if
// any, a map takes seven times as much.
type annotation struct {
	key   unique.Handle[string] // there are few of them
	value string
	next  *annotation
}

// account is a ServiceAccount on its way into accounts.
type account struct {
	key         string
	annotations *annotation
}

func newAccounts(keep func(key string) bool) *accounts {
	return &accounts{keep: keep, byKey: map[string]*annotation{}}
}

// reflector returns what keeps a up to date.
func (a *accounts) reflector(client kubernetes.Interface) *cache.Reflector {
	all := client.CoreV1().ServiceAccounts(metav1.NamespaceAll)
	pages := 0
	reflector := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			// A reflector is content with an older version, which the watch cache has, but never in pages.
			o.ResourceVersion = ""
			page, err := all.List(ctx, o)
			if err != nil {
				return nil, err
			}
			for i := range page.Items { // now, because the reflector keeps them until it has the last page
				sa := &page.Items[i]
				*sa = *object(sa.Namespace, sa.Name, a.annotations(sa))
			}
			if pages++; pages%(collectEvery/pageSize) == 0 {
				goruntime.GC()
			}
			return page, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			return all.Watch(ctx, o)
		},
	}, client), &corev1.ServiceAccount{}, a, cache.ReflectorOptions{Name: string(ServiceAccounts)})
	reflector.WatchListPageSize = pageSize // whatever it knows already: by default it then asks for all at once
	return reflector
}

// Transformer implements cache.TransformingStore: it is for what a reflector is streamed, which it keeps
// itself until it has everything.
func (a *accounts) Transformer() cache.TransformFunc {
	streamed := 0
	return func(obj any) (any, error) {
		if streamed++; streamed%collectEvery == 0 {
			goruntime.GC()
		}
		return a.account(obj)
	}
}

// account returns obj as it is kept; it may be so already.
func (a *accounts) account(obj any) (*account, error) {
	switch o := obj.(type) {
	case *account:
		return o, nil
	case *corev1.ServiceAccount:
		return &account{keyOf(o.Namespace, o.Name), a.annotations(o)}, nil
	}
	return nil, fmt.Errorf("%T is not a ServiceAccount", obj)
}

// annotations returns those of sa that are kept. Strings are shared with sa: decoders copy each of them.
func (a *accounts) annotations(sa *corev1.ServiceAccount) *annotation {
	var first *annotation
	for key, value := range sa.Annotations {
		if a.keep == nil || a.keep(key) {
			first = &annotation{unique.Make(key), value, first}
		}
	}
	return first
}

func keyOf(namespace, name string) string { return cache.NewObjectName(namespace, name).String() }

// object makes a ServiceAccount of what is kept.
func object(namespace, name string, annotations *annotation) *corev1.ServiceAccount {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for a := annotations; a != nil; a = a.next {
		metav1.SetMetaDataAnnotation(&sa.ObjectMeta, a.key.Value(), a.value)
	}
	return sa
}

// Replace implements cache.ReflectorStore. It is called when the watch begins and when it was lost.
func (a *accounts) Replace(list []any, _ string) error {
	byKey := make(map[string]*annotation, len(list))
	for _, obj := range list {
		small, err := a.account(obj)
		if err != nil {
			return err
		}
		byKey[small.key] = small.annotations
	}
	large := len(list) >= collectEvery
	a.mu.Lock()
	a.byKey = byKey
	a.mu.Unlock()
	if large {
		debug.FreeOSMemory() // or what listing took, 10 MB to 25 MB, stays resident
	}
	a.listed.Store(true)
	return nil
}

// Add implements cache.ReflectorStore.
func (a *accounts) Add(obj any) error { return a.Update(obj) }

// Update implements cache.ReflectorStore.
func (a *accounts) Update(obj any) error {
	small, err := a.account(obj)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byKey[small.key] = small.annotations
	return nil
}

// Delete implements cache.ReflectorStore.
func (a *accounts) Delete(obj any) error {
	small, err := a.account(obj)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byKey, small.key)
	return nil
}

// Resync implements cache.ReflectorStore.
func (a *accounts) Resync() error { return nil }

// ServiceAccounts implements corev1listers.ServiceAccountLister.
func (a *accounts) ServiceAccounts(namespace string) corev1listers.ServiceAccountNamespaceLister {
	return accountsOf{accounts: a, namespace: namespace}
}

// List implements corev1listers.ServiceAccountLister.
func (a *accounts) List(selector labels.Selector) ([]*corev1.ServiceAccount, error) {
	return a.ServiceAccounts(metav1.NamespaceAll).List(selector)
}

// accountsOf are the ServiceAccounts of a namespace, or of all.
type accountsOf struct {
	accounts  *accounts
	namespace string
}

// Get implements corev1listers.ServiceAccountNamespaceLister.
func (a accountsOf) Get(name string) (*corev1.ServiceAccount, error) {
	a.accounts.mu.RLock()
	annotations, ok := a.accounts.byKey[keyOf(a.namespace, name)]
	a.accounts.mu.RUnlock()
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("serviceaccount"), name)
	}
	return object(a.namespace, name, annotations), nil
}

// List implements corev1listers.ServiceAccountNamespaceLister.
func (a accountsOf) List(selector labels.Selector) ([]*corev1.ServiceAccount, error) {
	if !selector.Empty() {
		return nil, errors.New("listing ServiceAccounts by label: their labels are not kept")
	}
	a.accounts.mu.RLock()
	defer a.accounts.mu.RUnlock()
	var all []*corev1.ServiceAccount
	for key, annotations := range a.accounts.byKey {
		namespace, name, err := cache.SplitMetaNamespaceKey(key)
		if err != nil {
			return nil, err
		}
		if a.namespace == metav1.NamespaceAll || a.namespace == namespace {
			all = append(all, object(namespace, name, annotations))
		}
	}
	return all, nil
}
