package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/cache"
)

// liveObjects are the objects of a kind of a live cluster. The informer asks the apiserver where the kind is
// served each time it has to list it without having been told, so that there is one informer for a kind that
// comes and goes.
type liveObjects struct {
	kind      schema.GroupVersionKind
	discovery discovery.DiscoveryInterfaces
	client    func(schema.GroupVersionResource) resourceClient
	informer  cache.SharedIndexInformer

	mu      sync.Mutex
	mapping *meta.RESTMapping // nil: not known
	trouble atomic.Pointer[trouble]
}

// trouble is why the objects are not followed right now.
type trouble struct {
	err     error
	since   time.Time // of this trouble or others before it, without a watch in between
	refused bool      // and what was listed before counts no more
}

// resourceClient lists and watches the objects of a resource.
type resourceClient struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (apiwatch.Interface, error)
}

func newLiveObjects(c *Cluster, what followed) (*liveObjects, error) {
	o := &liveObjects{kind: what.kind, discovery: c.Client.Discovery()}
	var client any
	var example runtime.Object
	if what.options.MetadataOnly {
		client, example = c.Metadata, &metav1.PartialObjectMetadata{}
		o.client = func(resource schema.GroupVersionResource) resourceClient {
			all := c.Metadata.Resource(resource)
			return resourceClient{func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all.List(ctx, o) }, all.Watch}
		}
	} else {
		client, example = c.Dynamic, &unstructured.Unstructured{}
		o.client = func(resource schema.GroupVersionResource) resourceClient {
			all := c.Dynamic.Resource(resource)
			return resourceClient{func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all.List(ctx, o) }, all.Watch}
		}
	}
	if client == nil {
		return nil, errors.New("the cluster has no client for objects of any kind")
	}
	o.informer = cache.NewSharedIndexInformerWithOptions(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: o.list, WatchFuncWithContext: o.watch}, client),
		example, cache.SharedIndexInformerOptions{
			Indexers:          cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
			ObjectDescription: describe(what.kind),
		})
	logged := ""
	return o, errors.Join(o.informer.SetTransform(o.trim),
		o.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
			// What is asked for again and again is told once.
			if text := err.Error(); c.logger != nil && o.trouble.Load() != nil && text != logged {
				logged = text
				c.logger.WarnContext(ctx, "objects cannot be followed", "kind", describe(what.kind), "error", err)
			}
		}))
}

// list is for the informer.
func (o *liveObjects) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	client, err := o.served(ctx)
	if err != nil {
		return nil, o.failed(err)
	}
	list, err := client.list(ctx, options)
	if err != nil {
		return nil, o.failed(err)
	}
	return list, nil
}

// watch is for the informer, which may also let it begin with what there is.
func (o *liveObjects) watch(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
	client, err := o.served(ctx)
	if err != nil {
		return nil, o.failed(err)
	}
	w, err := client.watch(ctx, options)
	if err != nil {
		return nil, o.failed(err)
	}
	// It took both rights to come here, or one that is both.
	heal := func() { o.trouble.Store(nil) }
	if o.trouble.Load() != nil && options.SendInitialEvents != nil && *options.SendInitialEvents {
		return afterInitialEvents(w, heal), nil // what is known is what was before the trouble
	}
	heal()
	return w, nil
}

// served returns the client for the kind.
func (o *liveObjects) served(ctx context.Context) (resourceClient, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mapping == nil {
		mapping, err := o.find(ctx)
		if err != nil {
			return resourceClient{}, err
		}
		o.mapping = mapping
	}
	return o.client(o.mapping.Resource), nil
}

// find asks the apiserver for where it serves the kind.
func (o *liveObjects) find(ctx context.Context) (*meta.RESTMapping, error) {
	versions, err := o.versions(ctx)
	if err != nil {
		return nil, err
	}
	for _, version := range versions {
		mapping, err := served(ctx, o.discovery, version.WithKind(o.kind.Kind))
		if !errors.Is(err, errUnserved) {
			return mapping, err
		}
	}
	return nil, errUnserved
}

// versions are those in which the kind may be served, the best first.
func (o *liveObjects) versions(ctx context.Context) ([]schema.GroupVersion, error) {
	if o.kind.Version != "" {
		return []schema.GroupVersion{o.kind.GroupVersion()}, nil
	}
	groups, err := o.discovery.ServerGroupsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the versions of %s: %w", o.kind.Group, err)
	}
	var versions []schema.GroupVersion
	for _, g := range groups.Groups {
		if g.Name != o.kind.Group {
			continue
		}
		// They come in the order of preference, which the preferred one need not keep to.
		versions = append(versions, schema.GroupVersion{Group: g.Name, Version: g.PreferredVersion.Version})
		for _, v := range g.Versions {
			if v.Version != g.PreferredVersion.Version {
				versions = append(versions, schema.GroupVersion{Group: g.Name, Version: v.Version})
			}
		}
	}
	return versions, nil
}

// trim is a cache.TransformFunc.
func (o *liveObjects) trim(obj any) (any, error) {
	kind := o.kind
	o.mu.Lock()
	if o.mapping != nil {
		kind = o.mapping.GroupVersionKind
	}
	o.mu.Unlock()
	return trimObject(obj, kind), nil
}

// failed remembers why nothing is followed. What the apiserver refuses stays remembered until a watch begins.
func (o *liveObjects) failed(err error) error {
	if apierrors.IsNotFound(err) {
		err = errUnserved
	}
	if errors.Is(err, errUnserved) {
		o.mu.Lock()
		o.mapping = nil // it may come back under another name, and in another scope
		o.mu.Unlock()
	}
	refused := errors.Is(err, errUnserved) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err)
	before, since := o.trouble.Load(), time.Now()
	if before != nil {
		since = before.since
	}
	if refused || before == nil || !before.refused {
		o.trouble.Store(&trouble{err, since, refused})
	}
	return err
}

func (o *liveObjects) lost() (time.Time, error) {
	t := o.trouble.Load()
	if t == nil {
		return time.Time{}, nil
	}
	return t.since, t.err
}

// unserved tells whether the apiserver said that it does not serve the kind.
func (o *liveObjects) unserved() bool {
	t := o.trouble.Load()
	return t != nil && errors.Is(t.err, errUnserved)
}

func (o *liveObjects) ready() error {
	t, synced := o.trouble.Load(), o.informer.HasSynced()
	switch {
	case t != nil && (t.refused || !synced):
		// Not %w: that the kind is not found must never be taken for an object that is not.
		return fmt.Errorf("%s: cannot be listed from the apiserver: %v", describe(o.kind), t.err) //nolint:errorlint // see above
	case !synced:
		return fmt.Errorf("%s: not yet listed from the apiserver", describe(o.kind))
	}
	return nil
}

func (o *liveObjects) Informer() cache.SharedIndexInformer { return o.informer }

func (o *liveObjects) Scope() (meta.RESTScope, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mapping != nil {
		return o.mapping.Scope, nil
	}
	if err := o.ready(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: its scope is not known yet", describe(o.kind))
}

func (o *liveObjects) Lister() cache.GenericLister {
	return readyLister{o.ready, cache.NewGenericLister(o.informer.GetIndexer(), resourceOf(o.kind))}
}

// resourceOf is for the error that an object is not found: as good a name as any.
func resourceOf(kind schema.GroupVersionKind) schema.GroupResource {
	return schema.GroupResource{Group: kind.Group, Resource: strings.ToLower(kind.Kind)}
}
