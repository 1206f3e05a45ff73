// Package program is what the gate and its services have in common as programs: flags, signals, exit codes.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
)

// The exit codes of a program.
const (
	ExitDrained = 0 // asked to stop, and everything under way was answered
	ExitFailed  = 1 // could not start, or could not go on
	ExitUsage   = 2 // the command line or the configuration is wrong
)

// Program is a program that serves until it is told to stop.
type Program struct {
	// Name is the command's.
	Name string
	// Kind is the kind of document that the program takes from its configuration file.
	Kind string
	// Short says in a line what the program does, Long in some more.
	Short, Long string
	// Version is shown by --version.
	Version string
	// Cluster says what the program looks up in the cluster, such as "ServiceAccounts".
	Cluster string
	// InPod makes the cluster the program runs in the one it looks at, unless a flag names another.
	InPod bool
	// Run serves until ctx is done.
	Run func(ctx context.Context, configFile string, source cluster.Source) error
}

// gcPercent lets the heap grow to five times what is live between collections. A program of this kind has
// little alive, a few megabytes, and makes a hundred kilobytes of garbage per decision, so that at Go's
// default of 100 a sixth of its processor time goes into collecting. memoryLimit ends that when much is
// alive, as under many large reviews: from there on memory is collected as often as needed.
const (
	gcPercent   = 400
	memoryLimit = 512 << 20
)

// Main runs the program with the process's arguments until SIGINT or SIGTERM, and ends the process.
func (p Program) Main() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, grpcErrors{p.Name})) // before gRPC is used
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends a drain that somebody will not wait for
	code := p.Execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// grpcErrors makes JSON lines of what gRPC logs at its own level ERROR, which otherwise goes to standard
// error as plain text between the program's lines.
type grpcErrors struct{ service string }

// Write logs one line.
func (g grpcErrors) Write(line []byte) (int, error) {
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Warn("gRPC complains", "service", g.service, "text", strings.TrimSpace(string(line)))
	return len(line), nil
}

// Execute runs the program until ctx is done, and returns its exit code. Help goes to stdout, errors to
// stderr.
func (p Program) Execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var (
		configFile string
		source     cluster.Source
		running    bool // until then every error is one of usage
	)
	command := &cobra.Command{
		Use:     p.Name + " --config FILE",
		Short:   p.Short,
		Long:    p.Long + "\n\nExit codes: 0 after a drain, 1 for a failure, 2 for a wrong command line or configuration.\nWhere telemetry goes is said by the standard OTEL_* variables.",
		Example: fmt.Sprintf("  %s --config gatefold.yaml --kubeconfig ~/.kube/config", p.Name),
		Version: p.Version,
		Args:    cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			running = true
			if p.InPod {
				source.InCluster = source.Kubeconfig == "" && len(source.ObjectFiles) == 0 && cluster.InPod()
			}
			return p.Run(cmd.Context(), configFile, source)
		},
	}
	flags := command.Flags()
	flags.StringVar(&configFile, "config", "", "file with a "+p.Kind+"; it is watched, and a good change takes effect (required)")
	flags.StringVar(&source.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose "+p.Cluster+" to watch")
	flags.StringSliceVar(&source.ObjectFiles, "objects", nil, "files with the "+p.Cluster+" to know, instead of a cluster")
	command.MarkFlagsMutuallyExclusive("kubeconfig", "objects")
	if !p.InPod { // the others need no telling
		flags.BoolVar(&source.InCluster, "in-cluster", false, "watch the "+p.Cluster+" of the cluster whose pod this runs in")
		command.MarkFlagsMutuallyExclusive("kubeconfig", "objects", "in-cluster")
	}
	_ = command.MarkFlagRequired("config") // fails only for a flag that is not there
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)

	err := command.ExecuteContext(ctx)
	if err == nil {
		return ExitDrained
	}
	fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
	if _, bad := errors.AsType[config.Problems](err); bad || !running || errors.Is(err, config.ErrUnusable) || errors.Is(err, fs.ErrNotExist) {
		return ExitUsage
	}
	return ExitFailed
}
