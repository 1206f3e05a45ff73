package policy

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// NamespacesOf returns the namespaces of c for one request, whose context is ctx; nil where they are not known.
func NamespacesOf(ctx context.Context, c *cluster.Cluster) Namespaces {
	if !c.KnowsNamespaces() {
		return nil
	}
	return namespaces{ctx, c}
}

// namespaces are a cluster's, for one request.
type namespaces struct {
	ctx     context.Context //nolint:containedctx // that of the request
	cluster *cluster.Cluster
}

// Get implements Namespaces.
func (n namespaces) Get(name string) (*corev1.Namespace, error) {
	return n.cluster.Namespace(n.ctx, name)
}
