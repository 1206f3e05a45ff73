package mutatorsvc

import (
	"fmt"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
)

// watched is what the mutators look up. Policies look up the namespaces of requests that come without.
func watched(cfg *Config, opts Options) cluster.Options {
	watched := cluster.Options{Logger: opts.Telemetry.Logger}
	if cfg.serves(Policy) {
		watched.Watch = append(watched.Watch, cluster.Namespaces)
	}
	if cfg.serves(Identity) {
		identity := cfg.Identity.Watched()
		watched.Watch = append(watched.Watch, cluster.ServiceAccounts)
		watched.Annotations, watched.ConfigMaps = identity.Annotation, identity.ConfigMaps()
	}
	return watched
}

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
	// Once: a configuration that comes later names the same ConfigMap (Config.Confine), whose last good
	// content must outlive it.
	if profile := cfg.Identity.AWS; profile != nil && profile.RoleConfigMap != nil {
		from.Roles = aws.NewRoles(state, *profile.RoleConfigMap, from.Logger)
	}
	from.ServiceAccounts, err = identity.NewLookup(lookup)
	return from, err
}
