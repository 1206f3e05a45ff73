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
		Short: "Serve validators: policies that accept or refuse objects",
		Long: "Serves the validators that the configuration names to the gate, over gRPC. The policies' files are\n" +
			"watched too. Namespaces come with each request from a gate that knows them; a cluster is only needed\n" +
			"behind one that does not.",
		Version: version,
		Cluster: "namespaces",
		Run: func(ctx context.Context, configFile string, source cluster.Source) error {
			return validatorsvc.Run(ctx, validatorsvc.Options{ConfigFile: configFile, Source: source, Version: version})
		},
	}.Main()
}
