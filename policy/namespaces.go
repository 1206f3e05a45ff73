package policy

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// NamespacesOf returns the namespaces of c for one request, whose context is ctx; nil where they are not known.
func NamespacesOf(ctx context.Context, c *cluster.Cluster) Namespaces {
	if !c.Known() || c.Namespaces == nil {
		return nil
	}
	return namespaces{ctx, c}
}

// namespaces are a cluster's, for one request.
type namespaces struct {
	ctx     context.Context //nolint:containedctx // that of the request
	cluster *cluster.Cluster
}

// namespaceTimeout is how long a single namespace is waited for.
const namespaceTimeout = time.Second

// Get implements Namespaces. A namespace that was made a moment ago may not be among those that are followed yet:
// the apiserver is asked for it, as kube-apiserver's own policies do.
func (n namespaces) Get(name string) (*corev1.Namespace, error) {
	found, err := n.cluster.Namespaces.Get(name)
	if !apierrors.IsNotFound(err) || !n.cluster.Live() {
		return found, err
	}
	ctx, cancel := context.WithTimeout(n.ctx, namespaceTimeout)
	defer cancel()
	return n.cluster.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
}
