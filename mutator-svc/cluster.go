package mutatorsvc

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
)

// sources returns where identity looks things up; nothing for a process that does not serve it, which
// watches nothing. Where nothing is known of the cluster, "not found" would be a guess, so that is an error.
func sources(cfg *Config, state *cluster.Cluster, opts Options) (from identity.Sources, err error) {
	if !cfg.serves(Identity) {
		return from, nil
	}
	if !state.Known() || state.ServiceAccounts == nil {
		return from, fmt.Errorf("%w: identity needs the cluster's ServiceAccounts: start the mutator with --kubeconfig or --objects, or in a cluster", config.ErrUnusable)
	}
	lookup := identity.LookupConfig{
		Lister: state.ServiceAccounts,
		Meter:  opts.Telemetry.MeterProvider.Meter(scope),
	}
	if state.Client != nil {
		lookup.Client = state.Client.CoreV1()
		from.ServerVersion = identity.AskVersion(state.Client.Discovery())
	}
	from.Logger = opts.Telemetry.Logger
	from.ServiceAccounts, err = identity.NewLookup(lookup)
	return from, err
}

// annotationKept tells which annotations of ServiceAccounts are worth memory. kubectl's own repeats the whole
// object. What the others are called can change with the configuration while the process runs.
func annotationKept(key string) bool { return key != corev1.LastAppliedConfigAnnotation }
