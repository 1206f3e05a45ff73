// Command mutator serves the mutators of a MutatorConfig to the gate.
package main

import (
	"context"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/program"
)

// version is set when the binary is built.
var version = "development"

func main() {
	program.Program{
		Name:  "mutator",
		Kind:  config.MutatorConfig,
		Short: "Serve mutators: cloud identities, labels and annotations, policies",
		Long: "Serves the mutators that the configuration names to the gate, over gRPC. Identities need the\n" +
			"cluster's ServiceAccounts, policies what they ask of it: params, namespaces, permissions and schemas.",
		Version: version,
		Cluster: "ServiceAccounts",
		InPod:   true,
		Run: func(ctx context.Context, configFile string, source cluster.Source) error {
			return mutatorsvc.Run(ctx, mutatorsvc.Options{ConfigFile: configFile, Source: source, Version: version})
		},
	}.Main()
}
