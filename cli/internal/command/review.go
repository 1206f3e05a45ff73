package command

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

type reviewCommand struct {
	Streams
	inputs  inputs
	config  string
	output  string
	color   string
	verbose bool
}

func newReview(s Streams) *cobra.Command {
	c := &reviewCommand{Streams: s}
	cmd := &cobra.Command{
		Use:     "review -f FILE...",
		Short:   "Show what the gate would make of manifests, without a cluster",
		GroupID: "use",
		Long: `Sends the objects of manifests through the gate, its mutators and its validators, all in
this process and without any network, and shows what comes out.

Namespaces, ServiceAccounts and ConfigMaps among the manifests, or in --objects, are the
state of the cluster; CustomResourceDefinitions tell the resources of custom kinds. With --operation
UPDATE the object as it was is looked for in --objects; one that is not there is compared
with itself, so that checks of changes see none, and a note says so.

A backend runs in this process when the MutatorConfig or ValidatorConfig in the same file
serves its handler, whatever its endpoint: so the file of a production gate can be reviewed
with as it is. A backend that no service of the file serves is not asked: it counts as
failed, and its failurePolicy decides.

What kube-apiserver itself adds to an object before it asks a webhook, such as default
values, is not added here. Requests are dry runs.

Standard output has only the result, in input order:
  -o diff    what changed, with the backend that did it beside each line
  -o yaml    the final objects; those that are not allowed are left out. Comments are lost
  -o json    everything known about each object, one JSON value a line; see below
  -o patch   each object's JSON Patch (RFC 6902), one a line; null for an object that is not
             allowed
Verdicts and warnings go to standard error. A warning is also that two mutators disagree about
a value. Backends of mode Shadow have no part in the result; what they would change, deny or
fail at is said after the verdict.

A line of -o json has these members; ref, allowed, rounds, steps and patch always, the others
where there is something to say:
  ref        the object: apiVersion, kind, namespace, name, and source, its FILE:LINE
  allowed    the verdict. Where it is false there is either status, the refusal with its
             message, reason, code and causes, or error, why there is no verdict
  warnings   of all backends
  rounds     how many times mutators had to be waited for one after another: 1 when all were
             asked at once, 0 when nobody was asked
  steps      each backend's part, mutators first:
    backend     its name
    outcome     NotMatched, Allowed, Changed, Denied, Failed, Ignored (it failed, and its
                failurePolicy is Ignore) or Skipped (another had settled the matter)
    order       its place among those that were asked, from 1
    asked       how often it was asked
    peer        the address of the replica that answered; bufconn is this process
    operations  its changes, as they apply at its turn
    fields      the JSON pointers of what it added, replaced or removed
    conflicts   the values of earlier mutators that it overruled: field, and overruled, the
                mutator that had set it
    denials, warnings, durationMs, error
  shadows    the parts that backends of mode Shadow would have had, by name, like steps
  patch      what all changes come to
  object     the final object

Exit codes:
  0  everything is allowed
  1  something is denied
  2  the command line, the configuration or a manifest cannot be understood
  3  a required backend failed, so that there is no verdict about some object`,
		Example: `  # what happens to a pod
  gatefold review --config examples/gatefold.yaml -f pod.yaml --objects cluster.yaml

  # a chart, as it would arrive; what is denied is left out, and fails the pipeline
  helm template shop ./chart | gatefold review -n shop -f - -o yaml > reviewed.yaml

  # who changes which field?
  gatefold review -f pod.yaml -o json | jq -c '.steps[] | {backend, fields}'

  # the same as another user
  gatefold review -f pod.yaml --as jane --as-group developers`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return ended(c.run(cmd.Context())) },
	}
	c.inputs.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.config, "config", defaultConfig, "the configuration of the gate and its services")
	f.StringVarP(&c.output, "output", "o", "diff", "diff, yaml, json or patch")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "also show the services' whole log, not only errors, and which mutators were asked again, on standard error")
	colorFlag(cmd, &c.color)
	complete(cmd, "output", "diff", "yaml", "json", "patch")
	return cmd
}

func (c *reviewCommand) run(ctx context.Context) error {
	if err := oneOf("color", c.color, "auto", "always", "never"); err != nil {
		return err
	}
	if err := oneOf("output", c.output, "diff", "yaml", "json", "patch"); err != nil {
		return err
	}
	if len(c.inputs.files) == 0 {
		return exit.UsageError(fmt.Errorf("say what to review: -f FILE, -f FOLDER or -f - for standard input"))
	}
	cfg, err := loadConfig(c.config, defaultConfig)
	if err != nil {
		return err
	}
	in, err := c.inputs.load(c.In)
	if err != nil {
		return err
	}
	in.printNotes(c.Err)
	tel, err := c.telemetry(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tel.Shutdown(ctx) }() // nothing is exported
	var decisions review.Decisions
	offline := stack.Offline{Config: cfg, Cluster: in.cluster, Telemetry: tel, OnDecision: decisions.Record, OnShadow: decisions.RecordShadow}
	var verdicts []review.Verdict
	err = offline.Run(ctx, func(ctx context.Context, gate *gateway.Gate) error {
		reviewer := &review.Reviewer{Gate: gate, Decisions: &decisions, WaitShadows: gate.WaitShadows, Requests: in.requests}
		verdicts, err = c.reviewAll(ctx, reviewer, in)
		return err
	})
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case slices.Contains(verdicts, review.Failed):
		return &exit.Error{Code: exit.Unanswered}
	case slices.Contains(verdicts, review.Denied):
		return &exit.Error{Code: exit.Denied}
	default:
		return nil
	}
}

func (c *reviewCommand) reviewAll(ctx context.Context, reviewer *review.Reviewer, in *loaded) ([]review.Verdict, error) {
	write := review.Printers(render.StyleFor(c.Out, c.color))[c.output]
	style := render.StyleFor(c.Err, c.color)
	var verdicts []review.Verdict
	for _, o := range in.manifests {
		result, err := reviewer.Review(ctx, o)
		if err != nil {
			return nil, exit.UsageError(err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() // not the object's fault
		}
		if err := result.PrintNotes(c.Err); err != nil {
			return nil, err
		}
		if c.verbose {
			if err := result.PrintRounds(c.Err); err != nil {
				return nil, err
			}
		}
		if err := result.PrintVerdict(c.Err, style); err != nil {
			return nil, err
		}
		if err := write(c.Out, result); err != nil {
			return nil, err
		}
		verdicts = append(verdicts, result.Verdict)
	}
	return verdicts, nil
}

// telemetry shows the log when it is wanted, and what is an error in any case: a ConfigMap that cannot be read
// concerns no object in particular. Traces and metrics of a review are nobody's business.
func (c *reviewCommand) telemetry(ctx context.Context) (*telemetry.Telemetry, error) {
	tel := telemetry.Discard()
	options := &slog.HandlerOptions{Level: slog.LevelError}
	if c.verbose {
		options.Level = slog.LevelInfo
	}
	tel.Logger = slog.New(slog.NewTextHandler(c.Err, options))
	return tel, ctx.Err()
}
