package validatorsvc

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/validating"
)

// policies is the validator "policy": it answers with the set of policies in force.
type policies struct {
	set     atomic.Pointer[validating.Set]
	cluster *cluster.Cluster
}

// Validate implements sdk.Validator.
func (p *policies) Validate(ctx context.Context, r *sdk.Request) (*sdk.Verdict, error) {
	var known policy.Namespaces
	if p.cluster.Known() && p.cluster.Namespaces != nil {
		known = namespaces{ctx, p.cluster}
	}
	verdict, err := p.validate(ctx, r, known)
	if status.Code(err) == codes.FailedPrecondition && r.GetUid() == sdk.SelfTestRequest().GetUid() {
		// The namespace of the self-test is in no cluster, and what one policy lacks right now must not keep the
		// others out of service.
		return &sdk.Verdict{}, nil
	}
	return verdict, err
}

// validate asks the set in force, and the next one if that came meanwhile: the one before has been closed, and may
// have lacked its params.
func (p *policies) validate(ctx context.Context, r *sdk.Request, known policy.Namespaces) (*sdk.Verdict, error) {
	for {
		set := p.set.Load()
		verdict, err := set.Validate(ctx, r, known)
		if p.set.Load() == set {
			return verdict, err
		}
	}
}

// close closes the set in force; nothing where none ever was.
func (p *policies) close() {
	if set := p.set.Load(); set != nil {
		set.Close()
	}
}

// use puts set in force, in place of the one before, which is closed.
func (p *policies) use(set *validating.Set) {
	if before := p.set.Swap(set); before != nil {
		before.Close()
	}
}

// namespaces are the cluster's, for one request.
type namespaces struct {
	ctx     context.Context //nolint:containedctx // that of the request
	cluster *cluster.Cluster
}

// getTimeout is how long a single namespace is waited for.
const getTimeout = time.Second

// Get implements policy.Namespaces. A namespace that was made a moment ago may not be among those that are
// followed yet: the apiserver is asked for it, as kube-apiserver's own policies do.
func (n namespaces) Get(name string) (*corev1.Namespace, error) {
	found, err := n.cluster.Namespaces.Get(name)
	if !apierrors.IsNotFound(err) || !n.cluster.Live() {
		return found, err
	}
	ctx, cancel := context.WithTimeout(n.ctx, getTimeout)
	defer cancel()
	return n.cluster.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
}
