// Command validator serves the validators of a ValidatorConfig to the gate.
package main

import (
	"context"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/program"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// version is set when the binary is built.
var version = "development"

func main() {
	program.Program{
		Name:  "validator",
		Kind:  config.ValidatorConfig,
		Short: "Serve validators: policies and rules that accept or refuse objects",
		Long: "Serves the validators that the configuration names to the gate, over gRPC. The policies' files are\n" +
			"watched too. Policies need a cluster for params that are not in their files, for the authorizer, and for what\n" +
			"does not come with a request of a namespace; they have none unless a flag names one. quota and snapshot\n" +
			"need one always, and take the one whose pod this runs in. With --objects these files are the cluster.",
		Version: version,
		Cluster: "objects",
		Run: func(ctx context.Context, configFile string, source cluster.Source) error {
			return validatorsvc.Run(ctx, validatorsvc.Options{ConfigFile: configFile, Source: source, Version: version})
		},
	}.Main()
}
