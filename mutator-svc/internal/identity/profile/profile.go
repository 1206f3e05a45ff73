// Package profile is what the profiles of identity have in common: what they are asked, and how they
// answer.
package profile

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

// Request is a pod that is being created, and who it will run as.
type Request struct {
	// Pod is the pod. A profile opens it when it knows that the pod is its business.
	Pod *pod.Pod
	// Namespace is the namespace that the pod is created in.
	Namespace string
	// ServiceAccount is the name of the pod's ServiceAccount. Empty: it is a mirror pod, which kubelet
	// made from a file; every other pod has been given one when it comes here.
	ServiceAccount string
	// Lookup returns the ServiceAccount of this name in Namespace, or an error for which
	// apierrors.IsNotFound tells that there is none; any other error means that it could not be found
	// out. Nobody looks for more than one name.
	Lookup func(name string) (*corev1.ServiceAccount, error)
	// ServerVersion asks kube-apiserver for its version each time that it is called. Nil: the cluster is
	// not live; it is taken as new enough for everything.
	ServerVersion func() (*version.Info, error)
}

// Annotations returns the annotations of a ServiceAccount of the pod's namespace, and whether there is
// such a ServiceAccount. An error means that it could not be found out, which is not an answer: to admit
// the pod would be to pass a check that did not run, and the pod would lack its identity for life.
func (r *Request) Annotations(serviceAccount string) (annotations map[string]string, found bool, err error) {
	sa, err := r.Lookup(serviceAccount)
	switch {
	case err == nil: // first, since to ask what an error is allocates
		return sa.Annotations, true, nil
	case apierrors.IsNotFound(err):
		return nil, false, nil
	}
	return nil, false, err
}
