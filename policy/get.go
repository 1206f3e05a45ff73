package policy

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// absentTTL is how long an object that is not there is not asked for again. kube-apiserver, which asks itself,
// asks for every request; most namespaces may have no params, and never get any. One that is made meanwhile is
// seen when the watch tells of it.
const absentTTL = time.Second

// maxAbsent is how many absent objects are remembered.
const maxAbsent = 4096

// getter asks a live cluster for single objects. It is safe for concurrent use.
type getter struct {
	cluster *cluster.Cluster
	absent  *cache.LRUExpireCache

	mu        sync.Mutex
	resources map[schema.GroupVersionKind]schema.GroupVersionResource
}

func newGetter(c *cluster.Cluster) *getter {
	return &getter{cluster: c, absent: cache.NewLRUExpireCache(maxAbsent), resources: map[schema.GroupVersionKind]schema.GroupVersionResource{}}
}

type objectKey struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

func (g *getter) get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	key := objectKey{kind, namespace, name}
	if _, ok := g.absent.Get(key); ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, name)
	}
	resource, err := g.resource(ctx, kind)
	if err != nil {
		return nil, err
	}
	object, err := g.cluster.Dynamic.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if _, unserved := apierrors.StatusCause(err, metav1.CauseTypeUnexpectedServerResponse); unserved {
		// The path is not found, and not an object: the kind is gone, or served elsewhere now.
		g.mu.Lock()
		delete(g.resources, kind)
		g.mu.Unlock()
		// Not %w: that it is not found must not be taken for an object that is not.
		return nil, fmt.Errorf("the apiserver does not serve %s any more: %v", resource, err) //nolint:errorlint // see above
	}
	if apierrors.IsNotFound(err) {
		g.absent.Add(key, nil, absentTTL)
	}
	return object, err
}

// resource asks once where a kind is served.
func (g *getter) resource(ctx context.Context, kind schema.GroupVersionKind) (schema.GroupVersionResource, error) {
	g.mu.Lock()
	resource, ok := g.resources[kind]
	g.mu.Unlock()
	if ok {
		return resource, nil
	}
	served, err := g.cluster.Served(ctx, kind)
	if err != nil {
		return resource, err
	}
	g.mu.Lock()
	g.resources[kind] = served.Resource
	g.mu.Unlock()
	return served.Resource, nil
}
