package validatorsvc

import (
	"github.com/gatefold/gatefold/sdk/cluster"
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
