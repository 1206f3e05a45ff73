package validatorsvc

import (
	"context"
	"sync/atomic"

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
	var namespaces policy.Namespaces
	if p.cluster.Known() && p.cluster.Namespaces != nil {
		namespaces = p.cluster.Namespaces
	}
	return p.set.Load().Validate(ctx, r, namespaces)
}
