package match

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// errNoNamespace: the question cannot be answered from the request.
var errNoNamespace = errors.New("the request carries no namespaceObject: the gate has no view of the cluster's namespaces")

// namespaces is a lister of the one namespace that came with a request.
type namespaces struct {
	known *corev1.Namespace // nil when none came
	// missing: it was asked in vain. A flag, because upstream wraps the error of a lister in one that does not unwrap.
	missing bool
}

// List is there for the interface; nobody asks.
func (n *namespaces) List(labels.Selector) ([]*corev1.Namespace, error) { return nil, errNoNamespace }

// Get returns the request's namespace. Never a NotFound, which would make upstream ask the API server.
func (n *namespaces) Get(name string) (*corev1.Namespace, error) {
	if n.known == nil || n.known.Name != name {
		n.missing = true
		return nil, fmt.Errorf("namespace %q: %w", name, errNoNamespace)
	}
	return n.known, nil
}

// forget begins a new question. Upstream drops the error of a selector when the rules do not match anyway, and it
// must not be taken for that of the next policy.
func (n *namespaces) forget() { n.missing = false }

// marked returns err, the answer to the question, as one that is unanswerable if a namespace was asked for in vain.
func (n *namespaces) marked(err error) error {
	if err == nil || !n.missing {
		return err
	}
	return unanswerable{err}
}
