package validatorsvc

import (
	"context"
	"fmt"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/validator-svc/internal/quota"
	"github.com/gatefold/gatefold/validator-svc/internal/snapshot"
)

// looksAround tells whether there are validators that look at other objects of the cluster.
func (c *Config) looksAround() bool { return c.serves(Quota) || c.serves(Snapshot) }

// source is where the cluster's state comes from. In a pod it is that cluster if nobody says otherwise and there
// are validators that cannot do without: policies can, behind a gate that knows the namespaces.
func source(cfg *Config, from cluster.Source) cluster.Source {
	if from.Kubeconfig == "" && len(from.ObjectFiles) == 0 && cfg.looksAround() {
		from.InCluster = cluster.InPod()
	}
	return from
}

// watched is what the validators look up beside what they follow.
func watched(cfg *Config, opts Options) cluster.Options {
	o := cluster.Options{Logger: opts.Telemetry.Logger}
	if cfg.serves(Policy) || cfg.serves(Quota) {
		o.Watch = []cluster.Resource{cluster.Namespaces}
	}
	return o
}

// handlers are the validators that are served.
type handlers struct {
	served map[string]sdk.Validator
	quotas *quotas // nil: not served
	closes []func()
}

// newHandlers makes those that cfg names. What they follow of the cluster is followed until close.
func newHandlers(ctx context.Context, cfg *Config, policies *policies, opts Options) (*handlers, error) {
	h := &handlers{served: map[string]sdk.Validator{}}
	// Where nothing is known of the cluster, that there is no other object would be a guess.
	if cfg.looksAround() && !opts.Cluster.Known() {
		return nil, fmt.Errorf("%w: quota and snapshot look at other objects of the cluster: start the validator with --kubeconfig or --objects, or in a cluster", config.ErrUnusable)
	}
	if cfg.serves(Policy) {
		h.served[Policy] = policies
	}
	if cfg.serves(Quota) {
		h.quotas = &quotas{from: quota.From{Follower: opts.Cluster, Namespaces: opts.Cluster, Logger: opts.Telemetry.Logger}}
		if err := h.quotas.use(ctx, cfg.Quota); err != nil {
			return nil, err
		}
		h.served[Quota] = h.quotas
		h.closes = append(h.closes, h.quotas.close)
	}
	if cfg.serves(Snapshot) {
		v, err := snapshot.New(*cfg.Snapshot, opts.Cluster)
		if err != nil {
			h.close()
			return nil, fmt.Errorf("making the validator snapshot: %w", err)
		}
		h.served[Snapshot] = v
		h.closes = append(h.closes, v.Close)
	}
	return h, nil
}

func (h *handlers) close() {
	for _, closes := range h.closes {
		closes()
	}
}
