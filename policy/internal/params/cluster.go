package params

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/policy"
)

// ErrUnavailable marks that it cannot be said which params there are, as because they have not been listed yet.
// It says nothing about the object nor the policy.
var ErrUnavailable = errors.New("params are not known")

// getTimeout is how long one object is waited for, as in k8s.io/apiserver, whose packages do not hand on the
// time that a request has.
const getTimeout = time.Second

// Joined are the objects of one kind from the files and from a cluster. One in the files stands in place of one
// of the same namespace and name in the cluster: the files were reviewed together with the policies, and nobody
// who may only write to the cluster changes what they say.
type Joined struct {
	*Fixed

	kind     schema.GroupVersionKind
	followed *cluster.Objects
	get      func(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error)
}

// Join adds to files what a cluster has of the kind. It begins to follow it, until Close.
func Join(files *Fixed, kind schema.GroupVersionKind, known policy.Cluster) (*Joined, error) {
	followed, err := known.Objects.Follow(kind, cluster.FollowOptions{})
	if err != nil {
		return nil, fmt.Errorf("following the params: %w", err)
	}
	return &Joined{Fixed: files, kind: kind, followed: followed, get: known.Get}, nil
}

// Close ends the following.
func (j *Joined) Close() { j.followed.Close() }

// Ready returns nil once the cluster's objects are known; until then, why not.
func (j *Joined) Ready() error { return unavailable(j.followed.Ready()) }

// ScopeNow tells whether the kind is namespaced, as the cluster says; or else the files, so that a param in them
// is found whatever the cluster serves. The error wraps ErrUnavailable.
func (j *Joined) ScopeNow() (meta.RESTScope, error) {
	if err := j.Ready(); err != nil {
		if !j.Empty() {
			return j.Scope, nil // whoever looks for one that is not in the files is told
		}
		return nil, err
	}
	scope, err := j.followed.Scope()
	if err != nil {
		return nil, unavailable(err)
	}
	for _, p := range j.objects {
		if (p.GetNamespace() != "") != (scope.Name() == meta.RESTScopeNameNamespace) {
			return nil, unavailable(fmt.Errorf("%s %q in the files has namespace %q, and in the cluster the kind is of scope %s", j.kind.Kind, p.GetName(), p.GetNamespace(), scope.Name()))
		}
	}
	return scope, nil
}

// Lister lists the objects of all namespaces. An error that does not say not found wraps ErrUnavailable.
func (j *Joined) Lister() cache.GenericLister {
	return joinedLister{joined: j, files: j.Fixed.Lister(), cluster: j.followed.Lister(), all: j.followed.Lister()}
}

type joinedLister struct {
	joined         *Joined
	files, cluster cache.GenericNamespaceLister
	all            cache.GenericLister // the cluster's
	namespace      string
}

// ByNamespace narrows the list to one namespace.
func (l joinedLister) ByNamespace(namespace string) cache.GenericNamespaceLister {
	return joinedLister{
		joined: l.joined, files: l.joined.Fixed.Lister().ByNamespace(namespace), cluster: l.all.ByNamespace(namespace),
		all: l.all, namespace: namespace,
	}
}

// Get returns the object of that name.
func (l joinedLister) Get(name string) (runtime.Object, error) {
	if object, err := l.files.Get(name); err == nil {
		return object, nil
	}
	object, err := l.cluster.Get(name)
	if apierrors.IsNotFound(err) && l.joined.get != nil {
		ctx, cancel := context.WithTimeout(context.Background(), getTimeout)
		defer cancel()
		var single *unstructured.Unstructured
		single, err = l.joined.get(ctx, l.joined.kind, l.namespace, name)
		object = single
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, err
	case err != nil:
		return nil, unavailable(err)
	}
	return asParam(object), nil
}

// List returns the objects whose labels match, those of the files first.
func (l joinedLister) List(selector labels.Selector) ([]runtime.Object, error) {
	found, err := l.files.List(selector)
	if err != nil {
		return nil, err
	}
	others, err := l.cluster.List(selector)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, object := range others {
		accessor, err := meta.Accessor(object)
		if err != nil {
			return nil, unavailable(err)
		}
		// Also one that the selector does not find: it is that object, as it is to be.
		if !l.joined.Has(accessor.GetNamespace(), accessor.GetName()) {
			found = append(found, asParam(object))
		}
	}
	return found, nil
}

func asParam(object runtime.Object) runtime.Object {
	if u, ok := object.(*unstructured.Unstructured); ok {
		return &param{u}
	}
	return object
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	// Not %w for err: whatever was not found there must never be taken for a param that is not.
	return fmt.Errorf("%w: %v", ErrUnavailable, err) //nolint:errorlint // see above
}
