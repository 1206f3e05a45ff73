// Command gateway is the gate: the one admission webhook of a cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/gateway"
)

// version is set when the binary is built.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 after a drain, 1 for a failure, 2 for bad usage or configuration.
func run(ctx context.Context, args []string) int {
	opts := gateway.Options{Version: version}
	command := &cobra.Command{
		Use:   "gateway --config FILE",
		Short: "Serve the gate: one admission webhook in front of many mutators and validators",
		Long: "Serves POST /mutate and /validate for kube-apiserver over HTTPS, and asks the backends that the\n" +
			"file's GatewayConfig names. The file is watched: a good change takes effect, a bad one is logged.\n\n" +
			"Namespaces, for namespaceSelectors, come from the cluster the gate runs in, or from --kubeconfig,\n" +
			"or from --objects. Telemetry is exported as the OTEL_* variables say.",
		Example:       "  gateway --config gatefold.yaml --kubeconfig ~/.kube/config",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Source.InCluster = opts.Source.Kubeconfig == "" && len(opts.Source.ObjectFiles) == 0 && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
			return gateway.Run(cmd.Context(), opts)
		},
	}
	flags := command.Flags()
	flags.StringVar(&opts.ConfigFile, "config", "", "file with a GatewayConfig (required)")
	flags.StringVar(&opts.Source.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose namespaces to watch")
	flags.StringSliceVar(&opts.Source.ObjectFiles, "objects", nil, "files with the namespaces to know, instead of a cluster")
	if err := command.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	command.SetArgs(args)
	if err := command.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		return 1
	}
	return 0
}
