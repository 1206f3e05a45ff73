// Command validator serves the validators of a ValidatorConfig to the gate.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/sdk/config"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
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
	opts := validatorsvc.Options{Version: version}
	usage := true // until the command runs
	command := &cobra.Command{
		Use: "validator --config FILE", Short: "Serve validators: policies that accept or refuse objects",
		Long: "Serves the validators of the file's ValidatorConfig to the gate, over gRPC. The file and the policies\n" +
			"are watched: a good change takes effect, a bad one is logged. OTEL_* variables say where telemetry goes.",
		Example: "  validator --config gatefold.yaml", Version: version, Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			usage = false
			return validatorsvc.Run(cmd.Context(), opts)
		},
	}
	flags := command.Flags()
	flags.StringVar(&opts.ConfigFile, "config", "", "file with a ValidatorConfig (required)")
	flags.StringVar(&opts.Source.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose namespaces to watch")
	flags.BoolVar(&opts.Source.InCluster, "in-cluster", false, "watch the namespaces of the cluster the service runs in")
	flags.StringSliceVar(&opts.Source.ObjectFiles, "objects", nil, "files with the namespaces to know, instead of a cluster")
	command.MarkFlagsMutuallyExclusive("kubeconfig", "in-cluster", "objects")
	_ = command.MarkFlagRequired("config") // the flag is there: some lines up
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "validator:", err)
	if _, bad := errors.AsType[config.Problems](err); bad || usage || errors.Is(err, fs.ErrNotExist) {
		return 2
	}
	return 1
}
