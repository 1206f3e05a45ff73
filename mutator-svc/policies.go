package mutatorsvc

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/mutating"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// policies is the mutator "policy": it answers with the set of policies in force.
type policies struct {
	loader  mutating.Loader
	cluster *cluster.Cluster
	inForce policy.InForce[*mutating.Set]
}

// newPolicies returns the mutator, which has no policies yet. run, which may be nil, is to be run with the service.
func newPolicies(state *cluster.Cluster) (p *policies, run func(context.Context) error, err error) {
	p = &policies{cluster: state}
	if p.loader.Cluster, err = policy.ClusterOf(state); err != nil {
		return nil, nil, err
	}
	if !state.Live() {
		return p, nil, nil
	}
	schemas := mutating.NewLiveSchemas(state.Client.Discovery())
	p.loader.Schemas = schemas
	return p, schemas.Run, nil
}

// load loads the policies that cfg names. The set is to be closed.
func (p *policies) load(cfg PolicyConfig) (*mutating.Set, error) {
	if len(cfg.Paths) == 0 { // the policies would be off, and nobody would know
		return nil, errors.New("policy is served and has no paths any more: give it some, or take policy off the mutators and start the program again")
	}
	set, err := p.loader.Load(cfg.Paths)
	if err != nil {
		return nil, fmt.Errorf("loading policies: %w", err)
	}
	return set, nil
}

// Mutate implements sdk.Mutator. The self-test of a service with policies is a deletion, which they have nothing to
// do with: what one policy lacks right now keeps no service out of it.
func (p *policies) Mutate(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
	known := policy.NamespacesOf(ctx, p.cluster)
	return policy.Ask(&p.inForce, func(set *mutating.Set) (*sdk.Mutation, error) {
		return set.Mutate(ctx, r, known)
	})
}
