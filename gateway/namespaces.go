package gateway

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// lookupTimeout bounds the live lookup of a namespace that the informer has not heard of yet.
const lookupTimeout = time.Second

// namespaces looks namespaces up in the cluster.
type namespaces struct{ cluster *cluster.Cluster }

// Get returns the namespace, from memory where it is there already, else by asking the apiserver: a pod
// may follow its new namespace faster than the informer does.
func (n *namespaces) Get(ctx context.Context, name string) (*corev1.Namespace, error) {
	if !n.cluster.Known() || n.cluster.Namespaces == nil {
		return nil, errors.New("the gate was given no cluster to know namespaces from")
	}
	namespace, err := n.cluster.Namespaces.Get(name)
	if !apierrors.IsNotFound(err) || n.cluster.Client == nil {
		return namespace, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return n.cluster.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
}

// lookup is the namespace of one review, looked up once. It belongs to one goroutine.
type lookup struct {
	namespaces *namespaces
	done       bool
	namespace  *corev1.Namespace
	err        error
}

// Get returns the namespace; name is that of the review.
func (l *lookup) Get(ctx context.Context, name string) (*corev1.Namespace, error) {
	if !l.done {
		l.namespace, l.err = l.namespaces.Get(ctx, name)
		l.done = true
	}
	return l.namespace, l.err
}

// describe returns what services are told about the namespace of req; nil where there is none, or where it
// cannot be known. Only a backend that selects by namespace fails for want of it.
func (l *lookup) describe(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.Namespace {
	if req.GetNamespace() == "" || !l.namespaces.cluster.Known() || req.GetResource().GetResource() == "namespaces" {
		return nil
	}
	namespace, err := l.Get(ctx, req.GetNamespace())
	if err != nil {
		return nil
	}
	return &admissionv1.Namespace{Name: namespace.Name, Labels: namespace.Labels, Annotations: namespace.Annotations}
}
