// Command gateway is the gate: the one admission webhook of a cluster.
package main

import (
	"context"

	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/program"
)

// version is set when the binary is built.
var version = "development"

func main() {
	program.Program{
		Name:  "gateway",
		Kind:  config.GatewayConfig,
		Short: "Serve the gate: one admission webhook in front of many mutators and validators",
		Long: "Serves POST /mutate and /validate for kube-apiserver over HTTPS, and asks the backends that the\n" +
			"configuration names. namespaceSelectors need the cluster's namespaces.",
		Version: version,
		Cluster: "namespaces",
		InPod:   true,
		Run: func(ctx context.Context, configFile string, source cluster.Source) error {
			return gateway.Run(ctx, gateway.Options{ConfigFile: configFile, Source: source, Version: version})
		},
	}.Main()
}
