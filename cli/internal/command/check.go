package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/cli/internal/notes"
	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func newCheck(s Streams) *cobra.Command {
	file := defaultConfig
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check a configuration file and the policies it names",
		GroupID: "use",
		Long: `Reads the configuration of the gate and its services as they would at their start: fields,
rules, selectors, CEL expressions, policies. It asks nobody, so whether an endpoint or a
certificate is right it cannot tell. A file may have the configuration of a service alone.

Exit codes: 0 everything is in order; 2 something is not, and all of it is listed.`,
		Example: `  gatefold check --config examples/gatefold.yaml`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit.UsageError(check(cmd.Context(), s, file))
		},
	}
	cmd.Flags().StringVar(&file, "config", file, "the configuration of the gate and its services")
	return cmd
}

func check(ctx context.Context, s Streams, file string) error {
	cfg, err := loadConfigBy(stack.LoadAny, file, defaultConfig)
	if err != nil {
		return err
	}
	servicesOnly := cfg.Gateway == nil
	if servicesOnly { // a gate that asks nobody stands in for the one of another file
		cfg.Gateway = &gateway.Config{}
		cfg.Gateway.SetDefaults()
	}
	odd := cfg.Notes() // before its backends all become ones of this process
	c, _, err := stack.Cluster(nil, "", nil)
	if err != nil {
		return err
	}
	quiet := telemetry.Discard()
	quiet.Logger = notes.Logger(func(note string) { fmt.Fprintf(s.Err, "note: %s\n", note) })
	offline := stack.Offline{Config: cfg, Cluster: c, Telemetry: quiet}
	if err := offline.Run(ctx, func(context.Context, *gateway.Gate) error { return nil }); err != nil {
		return err
	}
	if servicesOnly {
		_, err = fmt.Fprintf(s.Out, "%s is in order: %s\n", file, strings.Join(served(cfg), ", "))
		return err
	}
	for _, note := range odd {
		fmt.Fprintf(s.Err, "note: %s\n", note)
	}
	if cfg.Gateway.Listen.TLS == nil {
		fmt.Fprintln(s.Err, "note: listen.tls is missing: only gatefold run can use this file, it makes a throwaway certificate")
	}
	backends := "backends"
	if len(cfg.Gateway.Backends) == 1 {
		backends = "backend"
	}
	_, err = fmt.Fprintf(s.Out, "%s is in order: %d %s\n", file, len(cfg.Gateway.Backends), backends)
	return err
}

// served names the mutators and validators that the services of a file serve.
func served(cfg *stack.Config) []string {
	var names []string
	if cfg.Mutator != nil {
		for _, name := range cfg.Mutator.Mutators {
			names = append(names, "mutator "+name)
		}
	}
	if cfg.Validator != nil {
		for _, name := range cfg.Validator.Validators {
			names = append(names, "validator "+name)
		}
	}
	return names
}
