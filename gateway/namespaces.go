package gateway

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// lookup is the namespace of one review, looked up once. It belongs to one goroutine.
type lookup struct {
	cluster   *cluster.Cluster
	done      bool
	namespace *corev1.Namespace
	err       error
}

// Get returns the namespace; name is that of the review.
func (l *lookup) Get(ctx context.Context, name string) (*corev1.Namespace, error) {
	if !l.done {
		l.namespace, l.err = l.cluster.Namespace(ctx, name)
		l.done = true
	}
	return l.namespace, l.err
}

// describe returns what services are told about the namespace of req; nil where there is none, or where it
// cannot be known. Only a backend that selects by namespace fails for want of it.
func (l *lookup) describe(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.Namespace {
	if req.GetNamespace() == "" || !l.cluster.Known() || req.GetResource().GetResource() == "namespaces" {
		return nil
	}
	namespace, err := l.Get(ctx, req.GetNamespace())
	if err != nil {
		return nil
	}
	return &admissionv1.Namespace{Name: namespace.Name, Labels: namespace.Labels, Annotations: namespace.Annotations}
}
