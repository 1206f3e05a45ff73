package validatorsvc

import (
	"fmt"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/validator-svc/internal/snapshot"
)

// source is where the cluster's state comes from. In a pod it is that cluster if nobody says otherwise and there
// are validators that cannot do without: policies can, behind a gate that knows the namespaces.
func source(cfg *Config, from cluster.Source) cluster.Source {
	if from.Kubeconfig == "" && len(from.ObjectFiles) == 0 && cfg.serves(Snapshot) {
		from.InCluster = cluster.InPod()
	}
	return from
}

// watched is what the validators look up beside what they follow.
func watched(cfg *Config, opts Options) cluster.Options {
	o := cluster.Options{Logger: opts.Telemetry.Logger}
	if cfg.serves(Policy) {
		o.Watch = []cluster.Resource{cluster.Namespaces}
	}
	return o
}

// handlers are the validators that are served.
type handlers struct {
	served map[string]sdk.Validator
	close  func()
}

// newHandlers makes those that cfg names. What they follow of the cluster is followed until close.
func newHandlers(cfg *Config, policies *policies, opts Options) (*handlers, error) {
	h := &handlers{served: map[string]sdk.Validator{}, close: func() {}}
	if cfg.serves(Policy) {
		h.served[Policy] = policies
	}
	if cfg.serves(Snapshot) {
		// Where nothing is known of the cluster, that there is no other class would be a guess.
		if !opts.Cluster.Known() {
			return nil, fmt.Errorf("%w: snapshot needs the cluster's VolumeSnapshotClasses: start the validator with --kubeconfig or --objects, or in a cluster", config.ErrUnusable)
		}
		v, err := snapshot.New(*cfg.Snapshot, opts.Cluster)
		if err != nil {
			return nil, fmt.Errorf("making the validator snapshot: %w", err)
		}
		h.served[Snapshot], h.close = v, v.Close
	}
	return h, nil
}
