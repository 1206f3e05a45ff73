package validatorsvc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/validating"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// policies is the validator "policy": it answers with the set of policies in force.
type policies struct {
	loader  validating.Loader
	cluster *cluster.Cluster
	inForce policy.InForce[*validating.Set]
}

// newPolicies returns the validator, which has no policies yet.
func newPolicies(state *cluster.Cluster) (*policies, error) {
	known, err := policy.ClusterOf(state)
	if err != nil {
		return nil, err
	}
	return &policies{loader: validating.Loader{Cluster: known}, cluster: state}, nil
}

// load loads the policies that cfg names. The set is to be closed.
func (p *policies) load(cfg PolicyConfig) (*validating.Set, error) {
	if len(cfg.Paths) == 0 { // everything would be let pass, and nobody would know
		return nil, errors.New("policy is served and has no paths any more: give it some, or take policy off the validators and start the program again")
	}
	set, err := p.loader.Load(cfg.Paths)
	if err != nil {
		return nil, fmt.Errorf("loading policies: %w", err)
	}
	return set, nil
}

// Validate implements sdk.Validator.
func (p *policies) Validate(ctx context.Context, r *sdk.Request) (*sdk.Verdict, error) {
	known := policy.NamespacesOf(ctx, p.cluster)
	verdict, err := policy.Ask(&p.inForce, func(set *validating.Set) (*sdk.Verdict, error) {
		return set.Validate(ctx, r, known)
	})
	if status.Code(err) == codes.FailedPrecondition && r.GetUid() == sdk.SelfTestRequest().GetUid() {
		// The namespace of the self-test is in no cluster, and what one policy lacks right now must not keep the
		// others out of service.
		return &sdk.Verdict{}, nil
	}
	return verdict, err
}
