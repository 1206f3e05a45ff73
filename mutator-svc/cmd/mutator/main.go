// Command mutator serves the mutators of a MutatorConfig to the gate.
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

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
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
	opts := mutatorsvc.Options{Version: version}
	usage := true // until the command runs, every error is one of usage
	command := &cobra.Command{
		Use:   "mutator --config FILE",
		Short: "Serve mutators: cloud identities, labels and annotations",
		Long: "Serves the mutators that the file's MutatorConfig names, over gRPC, to the gate. The file is watched:\n" +
			"a good change takes effect, a bad one is logged.\n\n" +
			"ServiceAccounts come from the cluster the service runs in, or from --kubeconfig or --objects.\n" +
			"Telemetry is exported as the OTEL_* variables say.",
		Example:       "  mutator --config gatefold.yaml --kubeconfig ~/.kube/config",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			usage = false
			opts.Source.InCluster = opts.Source.Kubeconfig == "" && len(opts.Source.ObjectFiles) == 0 && cluster.InPod()
			return mutatorsvc.Run(cmd.Context(), opts)
		},
	}
	flags := command.Flags()
	flags.StringVar(&opts.ConfigFile, "config", "", "file with a MutatorConfig (required)")
	flags.StringVar(&opts.Source.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose ServiceAccounts to watch")
	flags.StringSliceVar(&opts.Source.ObjectFiles, "objects", nil, "files with the ServiceAccounts to know, instead of a cluster")
	command.MarkFlagsMutuallyExclusive("kubeconfig", "objects")
	_ = command.MarkFlagRequired("config") // it is there: three lines up
	command.SetArgs(args)
	if err := command.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutator:", err)
		if problems := config.Problems(nil); usage || errors.As(err, &problems) || errors.Is(err, fs.ErrNotExist) {
			return 2
		}
		return 1
	}
	return 0
}
