package cluster

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// namespaceTimeout is how long the apiserver is waited for when it is asked for a single namespace.
const namespaceTimeout = time.Second

// Namespace returns a namespace, which must not be changed. It is there from memory but where a live cluster does
// not follow it yet, since a pod may come sooner after its new namespace than the watch: then the apiserver is
// asked, for a second at most, as kube-apiserver's own policies do. apierrors.IsNotFound tells that there is
// none; any other error that it cannot be said.
func (c *Cluster) Namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	if !c.KnowsNamespaces() {
		return nil, errors.New("there is no cluster to know namespaces from")
	}
	namespace, err := c.Namespaces.Get(name)
	if !apierrors.IsNotFound(err) || !c.Live() {
		return namespace, err
	}
	ctx, cancel := context.WithTimeout(ctx, namespaceTimeout)
	defer cancel()
	return c.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
}

// KnowsNamespaces tells whether Namespace knows any: not where nothing is known of the cluster, nor where a live
// one was told to follow others only.
func (c *Cluster) KnowsNamespaces() bool { return c.Known() && c.Namespaces != nil }
