package command

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/cli/internal/casetest"
	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/cli/internal/render"
)

type testCommand struct {
	Streams
	output   string
	color    string
	run      string
	failOnly bool
	update   bool
}

func newTest(s Streams) *cobra.Command {
	c := &testCommand{Streams: s}
	cmd := &cobra.Command{
		Use:     "test [PATH...]",
		Short:   "Run tests of policies, services or a whole gate, without a cluster",
		GroupID: "use",
		Long: `Runs the cases of test files: requests, each with what shall come of it. They go through the
real gate and its services, all in this process and without any network. PATH is a test file or
a folder, which is searched all the way down for files called NAME_test.yaml, .yml or .json; by
default it is the folder one is in.

A test file holds documents such as this one:

  apiVersion: gatefold.dev/v1alpha1
  kind: Test
  policies: [limits.yaml]              # or config: gatefold.yaml, or mutator: {...}, validator: {...}
  objects: [cluster.yaml]              # the cluster: namespaces, ServiceAccounts, CRDs, ...
  cases:
  - name: a pod without limits
    object: pod.yaml                   # a file, or the object itself
    expect:
      allowed: false
      message: container app sets no limit for memory

Files are seen from the test file.

  policies   files or folders of ValidatingAdmissionPolicies, MutatingAdmissionPolicies, their
             bindings and params. Each request is sent to both kinds, mutating ones first
  config     a configuration: the whole gate with what it serves itself, as review runs it
  mutator, validator
             the content of a MutatorConfig or ValidatorConfig: all that it serves is asked
  objects    the state of the cluster: files, folders or objects

A case has a name, and
  object, oldObject  a file or an object each. With both it is an UPDATE, with oldObject alone a
                     DELETE
  operation          CREATE, UPDATE, DELETE or CONNECT, where that is not what is meant
  subresource        such as resize. For a Scale, resource says of what: deployments.v1.apps
  namespace, dryRun  and user: {username, uid, groups, extra}; by default namespace default and
                     user kubernetes-admin
  policies, objects  put beside those of the file, or in the place of the one of the same name
  expect             what shall come of it:
    allowed            the verdict; or
    error              a part of the text why there is no verdict, since a backend failed
    message, messages  the one denial, or exactly all: the whole text, or its end after ": "
    code, reason       of the denial
    warnings           exactly these, by the same rule; [] is none
    auditAnnotations   at least these
    patch              exactly this JSON Patch; [] is no change
    fields             parts of the object as it comes out, by JSON pointer: {/spec/replicas: 2};
                       null where nothing shall be
    object             the object as it comes out: a golden file, or the object itself

What kube-apiserver itself adds to an object before it asks a webhook, such as default values,
is not added here.

Standard output has the result:
  -o table   a line for each case; under one that failed, what was wanted and what came
  -o json    one JSON document; see below
  -o junit   JUnit's XML, which CI systems show
Problems with files, and notes, go to standard error.

The document of -o json has these members:
  summary    files, cases, passed, failed, broken (cases that could not be run), durationMs
  problems   what cannot be understood: file, line, path (the field) and message
  results    each case: file, line, name, durationMs, status (passed, failed or broken), and
             problem, why it could not be run, or failures: field, with want and got, or with diff

Exit codes:
  0  all cases passed
  1  a case failed
  2  something cannot be understood, or there is no test`,
		Example: `  # all tests below this folder
  gatefold test

  # one case, by a part of FILE/NAME
  gatefold test policies --run 'limits.*/no resources'

  # write the objects that cases expect into their files, then look at what has changed
  gatefold test --update && git diff

  # in CI
  gatefold test -o junit > report.xml`,
		RunE: func(cmd *cobra.Command, paths []string) error { return ended(c.test(cmd.Context(), paths)) },
	}
	f := cmd.Flags()
	f.StringVarP(&c.output, "output", "o", "table", "table, json or junit")
	f.StringVar(&c.run, "run", "", "a regular expression: run only cases of which FILE/NAME matches it")
	f.BoolVar(&c.failOnly, "fail-only", false, "leave out the cases that passed; they are counted all the same")
	f.BoolVar(&c.update, "update", false, "write the golden files of expect.object that are missing or not what comes out")
	colorFlag(cmd, &c.color)
	complete(cmd, "output", "table", "json", "junit")
	return cmd
}

func (c *testCommand) test(ctx context.Context, paths []string) error {
	if err := oneOf("color", c.color, "auto", "always", "never"); err != nil {
		return err
	}
	if err := oneOf("output", c.output, "table", "json", "junit"); err != nil {
		return err
	}
	options := casetest.Options{Paths: paths, Update: c.update}
	if len(paths) == 0 {
		options.Paths = []string{"."}
	}
	if c.run != "" {
		var err error
		if options.Run, err = regexp.Compile(c.run); err != nil {
			return exit.UsageError(fmt.Errorf("--run: %w", err))
		}
	}
	report, err := casetest.Run(ctx, options)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return exit.UsageError(err)
	}
	return c.tell(report)
}

// tell writes the report, and says by its error how the program ends.
func (c *testCommand) tell(report *casetest.Report) error {
	for _, note := range report.Notes {
		fmt.Fprintf(c.Err, "note: %s\n", render.Clean(note))
	}
	for _, file := range slices.Sorted(slices.Values(report.Written)) {
		fmt.Fprintf(c.Err, "wrote %s\n", file)
	}
	output := casetest.Output{Style: render.StyleFor(c.Out, c.color), FailOnly: c.failOnly, Time: render.IsTerminal(c.Out)}
	if err := casetest.Printers(output)[c.output](c.Out, report); err != nil {
		return err
	}
	switch {
	case len(report.Problems) > 0:
		return exit.UsageError(report.Problems)
	case report.Count(casetest.Failed) > 0:
		return &exit.Error{Code: exit.Denied}
	}
	return nil
}
