package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/cli/internal/allinone"
	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/cli/internal/render"
)

// runConfig is used where run is given no --config.
const runConfig = "examples/gatefold.yaml"

type runCommand struct {
	Streams
	inputs  inputs
	config  string
	address string
	admin   string
	color   string
	folder  string
	once    bool
	verbose bool
}

func newRun(s Streams) *cobra.Command {
	c := &runCommand{Streams: s}
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "Run everything in one process, and show it at work on examples",
		GroupID: "try",
		Long: `Starts the gateway, the mutators and the validators of one configuration file in this
process, joined by in-memory gRPC, with a throwaway CA. Then it sends the example objects
to its own HTTPS port as kube-apiserver would, and shows for each the verdict, what changed
and who changed it, and where the time went. It goes on serving until Ctrl-C.

Changes of the configuration and of the policies take effect while it runs. The exit code says
nothing about verdicts: in a pipeline use review. What backends in shadow would have done is in
the log (-v).`,
		Example: `  gatefold run
  gatefold run --once --color never
  gatefold run --config my/gatefold.yaml -f my/objects --address 127.0.0.1:0`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return ended(c.run(cmd.Context())) },
	}
	c.inputs.flags(cmd)
	f := cmd.Flags()
	f.Lookup("filename").Usage = "files or folders of the examples (default: the folder objects beside the configuration)"
	f.StringVar(&c.config, "config", runConfig, "the configuration of the gate and its services")
	f.StringVar(&c.address, "address", "", "where to listen for reviews (default: listen.address of the configuration)")
	f.StringVar(&c.admin, "admin-address", "", "where to serve health and metrics (default: admin.address of the configuration)")
	f.StringVar(&c.folder, "folder", "", "where to put the throwaway CA's ca.crt and the examples as reviews (default: a temporary folder)")
	f.BoolVar(&c.once, "once", false, "end after the examples")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "show the services' whole log, not only errors and changes of the files")
	colorFlag(cmd, &c.color)
	return cmd
}

func (c *runCommand) run(ctx context.Context) error {
	if err := oneOf("color", c.color, "auto", "always", "never"); err != nil {
		return err
	}
	cfg, err := loadConfig(c.config, runConfig)
	if err != nil {
		return err
	}
	if len(c.inputs.files) == 0 {
		folder := filepath.Join(filepath.Dir(c.config), "objects")
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			return exit.UsageError(fmt.Errorf("no examples: there is no folder %s beside the configuration; name objects with -f", folder))
		}
		c.inputs.files = []string{folder}
	}
	in, err := c.inputs.load(c.In)
	if err != nil {
		return err
	}
	in.printNotes(c.Err)
	return allinone.Run(ctx, allinone.Options{
		Config:       cfg,
		Address:      c.address,
		AdminAddress: c.admin,
		Requests:     in.requests,
		Cluster:      in.cluster,
		Examples:     in.manifests,
		Folder:       c.folder,
		Once:         c.once,
		Version:      c.Version,
		Out:          c.Out,
		Logs:         c.Err,
		Verbose:      c.verbose,
		Style:        render.StyleFor(c.Out, c.color),
	})
}
