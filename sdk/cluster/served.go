package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// errUnserved tells that the apiserver does not serve a kind.
var errUnserved = errors.New("the apiserver does not serve this kind; is its CustomResourceDefinition installed?")

// Served asks the apiserver of a live cluster under which resource, and in which scope, it serves a kind. Its
// error is never one of apierrors.IsNotFound: that a kind is not found must not be taken for an object that is
// not.
func (c *Cluster) Served(ctx context.Context, kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := served(ctx, c.Client.Discovery(), kind)
	if err != nil {
		return nil, fmt.Errorf("%s: %v", describe(kind), err) //nolint:errorlint // see above
	}
	return mapping, nil
}

// served is one small answer of the apiserver, which does not depend on what else is served.
func served(ctx context.Context, apiserver discovery.DiscoveryInterfaces, kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	list, err := apiserver.ServerResourcesForGroupVersionWithContext(ctx, kind.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return nil, errUnserved
	}
	if err != nil {
		return nil, fmt.Errorf("asking what %s serves: %w", kind.GroupVersion(), err)
	}
	for _, r := range list.APIResources {
		if r.Kind != kind.Kind || strings.Contains(r.Name, "/") {
			continue
		}
		scope := meta.RESTScopeRoot
		if r.Namespaced {
			scope = meta.RESTScopeNamespace
		}
		return &meta.RESTMapping{Resource: kind.GroupVersion().WithResource(r.Name), GroupVersionKind: kind, Scope: scope}, nil
	}
	return nil, errUnserved
}
