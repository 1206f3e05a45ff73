// Package command is the command line of gatefold.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/sdk/config"
)

// Streams are where a command reads and writes, and what it calls itself.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Version is the program's.
	Version string
}

// Execute runs the command line and returns the exit code. What went wrong has been said on s.Err.
func Execute(ctx context.Context, s Streams, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, syscall.EPIPE) {
		return exit.Pipe // nobody reads on, as with head: no reason to complain
	}
	if interrupted(ctx, err) {
		fmt.Fprintln(s.Err, "gatefold: interrupted")
		return exit.Interrupted
	}
	code := codeOf(err)
	if message := err.Error(); message != "" {
		fmt.Fprintln(s.Err, "gatefold:", message)
	}
	return code
}

// interrupted tells whether err is only that the program was told to stop: what came of that says nothing about the
// input. That a server could not drain, or not send its last spans, is something else, and is told.
func interrupted(ctx context.Context, err error) bool {
	canceled := errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
	return ctx.Err() != nil && (canceled || codeOf(err) != exit.Failure)
}

// codeOf says how the program ends. What cobra itself refuses is bad usage, and so is a configuration
// with problems, whoever found them.
func codeOf(err error) int {
	if e, ok := errors.AsType[*exit.Error](err); ok {
		return e.Code
	}
	return exit.Usage
}

// ended gives the error of a running command its exit code.
func ended(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exit.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[config.Problems](err); ok || errors.Is(err, config.ErrUnusable) {
		return exit.UsageError(err)
	}
	return &exit.Error{Code: exit.Failure, Err: err}
}

func newRoot(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "gatefold",
		Short: "One gate in front of a cluster's writes",
		Long: `Gatefold answers kube-apiserver's admission webhook, and asks every team's mutators
and validators behind it. This command shows what that does to objects: on this
machine, without a cluster.`,
		Version:       s.version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Flags().Bool("version", false, "print the version") // cobra's own would take -v, which is --verbose elsewhere
	root.SetVersionTemplate("{{.Version}}")
	root.AddGroup(
		&cobra.Group{ID: "try", Title: "Try it:"},
		&cobra.Group{ID: "use", Title: "In scripts and pipelines:"},
	)
	root.AddCommand(newRun(s), newReview(s), newTest(s), newCheck(s), newVersion(s))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit.UsageError(fmt.Errorf("%w\nsee %s --help", err, cmd.CommandPath()))
	})
	root.InitDefaultCompletionCmd()
	return root
}

// noArguments refuses arguments, and says where files go.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
	if cmd.Flags().Lookup("filename") != nil {
		hint = "use -f " + args[0]
	}
	return exit.UsageError(fmt.Errorf("%s takes no argument %q; %s", cmd.CommandPath(), args[0], hint))
}

// colorFlag adds --color.
func colorFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "color", "auto", "colours: auto (on a terminal, unless NO_COLOR is set), always or never")
	complete(cmd, "color", "auto", "always", "never")
}

// complete lets the shell offer the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, which every test of the command would show.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// oneOf refuses a flag's value that is none of values.
func oneOf(flag, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return exit.UsageError(fmt.Errorf("--%s: %q is not one of %s", flag, value, strings.Join(values, ", ")))
}
