package policy

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/policy/internal/authorize"
)

// Namespaces knows the cluster's namespaces.
type Namespaces interface {
	// Get returns the whole namespace of that name, which is not changed; an error when it is not known.
	Get(name string) (*corev1.Namespace, error)
}

// Cluster is what policies may ask of the cluster besides its namespaces. The zero value knows nothing.
type Cluster struct {
	// Objects are where params come from that do not stand among the files. Nil: there are no others.
	Objects Objects
	// Get asks for one object that Objects do not have, because it may have been made a moment ago. Nil: nobody
	// can be asked. The error is apierrors.IsNotFound when there is none. It must be safe for concurrent use.
	Get func(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error)
	// Authorizer answers what expressions ask of the authorizer. An error means that it could not be asked. Nil:
	// policies that ask are refused when they are loaded. It must be safe for concurrent use.
	Authorizer authorizer.UnconditionalAuthorizer
	// Definitions are the CustomResourceDefinitions among a fixed cluster's objects.
	Definitions []*unstructured.Unstructured
}

// Objects follows the objects of any kind; *cluster.Cluster does.
type Objects interface {
	// Follow returns the objects of a kind; see cluster.Cluster.Follow.
	Follow(kind schema.GroupVersionKind, o cluster.FollowOptions) (*cluster.Objects, error)
}

// ClusterOf returns what policies may ask of c. A live one is asked by SubjectAccessReviews who may do what; of a
// fixed one, the RBAC objects among its objects decide that. Of a cluster of which nothing is known, the zero
// value is returned.
func ClusterOf(c *cluster.Cluster) (Cluster, error) {
	switch {
	case !c.Known():
		return Cluster{}, nil
	case c.Live():
		live, err := authorize.Live(c.Client.AuthorizationV1())
		if err != nil {
			return Cluster{}, err
		}
		known := Cluster{Objects: c, Authorizer: live}
		if c.Dynamic != nil {
			known.Get = newGetter(c).get
		}
		return known, nil
	}
	objects, err := rbacObjects(c)
	if err != nil {
		return Cluster{}, err
	}
	rbac, err := authorize.NewRBAC(objects)
	if err != nil {
		return Cluster{}, err
	}
	definitions, err := list(c, schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	if err != nil {
		return Cluster{}, err
	}
	return Cluster{Objects: c, Authorizer: rbac, Definitions: definitions}, nil
}

func rbacObjects(c *cluster.Cluster) (authorize.Objects, error) {
	var all authorize.Objects
	for _, err := range []error{
		collect(c, "ClusterRole", &all.ClusterRoles), collect(c, "ClusterRoleBinding", &all.ClusterRoleBindings),
		collect(c, "Role", &all.Roles), collect(c, "RoleBinding", &all.RoleBindings),
	} {
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func collect[T any](c *cluster.Cluster, kind string, into *[]T) error {
	objects, err := list(c, rbacv1.SchemeGroupVersion.WithKind(kind))
	if err != nil {
		return err
	}
	for _, object := range objects {
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true); err != nil {
			return fmt.Errorf("%s %s: %w", kind, object.GetName(), err)
		}
		*into = append(*into, typed)
	}
	return nil
}

// list returns the objects of a kind of a fixed cluster.
func list(c *cluster.Cluster, kind schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	followed, err := c.Follow(kind, cluster.FollowOptions{})
	if err != nil {
		return nil, err
	}
	defer followed.Close()
	found, err := followed.Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	objects := make([]*unstructured.Unstructured, len(found))
	for i, object := range found {
		single, ok := object.(*unstructured.Unstructured)
		if !ok {
			return nil, fmt.Errorf("%s: %T is not what was to be followed", kind.Kind, object)
		}
		objects[i] = single
	}
	return objects, nil
}
