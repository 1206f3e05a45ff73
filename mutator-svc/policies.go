package mutatorsvc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/policy/mutating"
)

// policies is the mutator "policy": it answers with a set of policies.
type policies struct {
	set   *mutating.Set
	known mutating.Known
}

// newPolicies loads the policies that cfg names.
func newPolicies(cfg PolicyConfig, state *cluster.Cluster) (*policies, error) {
	set, err := mutating.Load(cfg.Paths)
	if err != nil {
		return nil, fmt.Errorf("loading policies: %w", err)
	}
	p := &policies{set: set}
	if state.Known() && state.Namespaces != nil {
		p.known.Namespaces = state.Namespaces
	}
	return p, nil
}

// Mutate implements sdk.Mutator.
func (p *policies) Mutate(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
	return p.set.Mutate(ctx, r, p.known)
}

// tell logs what is in force, and what is odd about it.
func (p *policies) tell(ctx context.Context, logger *slog.Logger) {
	for _, note := range p.set.Notes() {
		logger.WarnContext(ctx, "about the policies", "note", note)
	}
	logger.InfoContext(ctx, "policies in force", "policies", p.set.Policies())
}
