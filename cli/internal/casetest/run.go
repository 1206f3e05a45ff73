package casetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatefold/gatefold/cli/internal/notes"
	"github.com/gatefold/gatefold/cli/internal/resource"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// Options say which tests are run.
type Options struct {
	// Paths are test files, or folders of them, searched all the way down.
	Paths []string
	// Run selects cases: it is looked for in FILE/NAME. Nil selects all.
	Run *regexp.Regexp
	// Update writes golden files instead of comparing with them.
	Update bool
}

// ErrNothing is the error of a run without a test.
var ErrNothing = errors.New("no test")

// try is a case on its way to a result.
type try struct {
	doc      *document
	index    int
	question *review.Question
	target   *target
	golden   *golden // nil: no object is expected
	came     *review.Result
	result   *Result
}

// Run runs the tests. What is wrong with single files is in the report; the error is for a run that is none:
// ErrNothing, a path that does not exist, a context that is done.
func Run(ctx context.Context, o Options) (*Report, error) {
	start := time.Now()
	files, err := find(o.Paths)
	if err != nil {
		return nil, err
	}
	r := &runner{options: o, report: &Report{Files: files}, goldens: goldens{}}
	for _, file := range files {
		r.read(file)
	}
	if len(r.tries) == 0 && len(r.report.Problems) == 0 {
		return nil, r.nothing()
	}
	if err := r.runAll(ctx); err != nil {
		return nil, err
	}
	r.report.Problems.Sort()
	r.report.Took = time.Since(start)
	return r.report, nil
}

type runner struct {
	options Options
	report  *Report
	tries   []*try
	goldens goldens
}

func (r *runner) nothing() error {
	switch {
	case r.options.Run != nil && len(r.report.Files) > 0:
		return fmt.Errorf("%w: --run %s selects no case of %s; it is looked for in FILE/NAME", ErrNothing, strconv.Quote(r.options.Run.String()), plural(len(r.report.Files), "file"))
	default:
		return fmt.Errorf("%w in %s; tests are in files called NAME_test.yaml, with documents of kind: %s", ErrNothing, strings.Join(r.options.Paths, ", "), Kind)
	}
}

func (r *runner) problem(problems ...config.Problem) {
	for _, p := range problems {
		if !slices.Contains(r.report.Problems, p) {
			r.report.Problems = append(r.report.Problems, p)
		}
	}
}

func (r *runner) note(text string) {
	if text != "" && !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

// read adds the selected cases of a file. A file with problems adds nothing else.
func (r *runner) read(file string) {
	docs, problems := readFile(file)
	var tries []*try
	for _, d := range docs {
		found, bad := r.prepare(d)
		tries, problems = append(tries, found...), append(problems, bad...)
	}
	r.problem(problems...)
	if len(problems) > 0 {
		return
	}
	for _, t := range tries {
		r.tries = append(r.tries, t)
		r.report.Results = append(r.report.Results, t.result)
	}
}

// prepare reads what the selected cases of a document need.
func (r *runner) prepare(d *document) (tries []*try, problems config.Problems) {
	policies, problems := d.all(d.Policies, "policies")
	objects, bad := d.all(d.Objects, "objects")
	problems = append(problems, bad...)
	alone := d.remembers()
	for i := range d.Cases {
		c := &d.Cases[i]
		if r.options.Run != nil && !r.options.Run.MatchString(d.file+"/"+c.Name) {
			continue
		}
		own, bad := d.all(c.Policies, "cases", i, "policies")
		problems = append(problems, bad...)
		state, bad := d.all(c.Objects, "cases", i, "objects")
		problems = append(problems, bad...)
		state = put(objects, state)
		q, note, bad := d.question(i, resource.NewMapper(state))
		problems = append(problems, bad...)
		r.note(note)
		g, bad := r.goldens.of(d, i, r.options.Update)
		problems = append(problems, bad...)
		t := newTarget(d, put(policies, own), state)
		if alone {
			t.key += fmt.Sprintf("%s:%d", d.file, d.line("cases", i))
		}
		tries = append(tries, &try{
			doc: d, index: i, question: q, golden: g, target: t,
			result: &Result{File: d.file, Line: d.line("cases", i), Name: c.Name, Status: Broken},
		})
	}
	return tries, problems
}

// runAll runs the cases that share a target one after another, and then those of the next target.
func (r *runner) runAll(ctx context.Context) error {
	groups := map[string][]*try{}
	var order []string
	for _, t := range r.tries {
		if groups[t.target.key] == nil {
			order = append(order, t.target.key)
		}
		groups[t.target.key] = append(groups[t.target.key], t)
	}
	dir, err := os.MkdirTemp("", "gatefold-test-")
	if err != nil {
		return fmt.Errorf("making a folder for policies: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // left to the system's cleaning of temporary files
	for i, key := range order {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.runGroup(ctx, groups[key], filepath.Join(dir, strconv.Itoa(i))); err != nil {
			return err
		}
	}
	return nil
}

// runGroup runs the cases of one target. The error is only for an end before the end.
func (r *runner) runGroup(ctx context.Context, group []*try, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("making a folder for policies: %w", err)
	}
	t := group[0].target
	cfg, from, err := t.config(dir)
	if err != nil {
		r.broken(group, from.problems(err, t.doc))
		return nil
	}
	cluster, _, err := stack.Cluster(t.objects, defaultNamespace, namespaces(group))
	if err != nil {
		r.broken(group, config.Problems{t.doc.problem(err.Error(), "objects")})
		return nil
	}
	tel := telemetry.Discard()
	tel.Logger = notes.Logger(func(text string) { r.note(from.text(text)) })
	var decisions review.Decisions
	offline := stack.Offline{Config: cfg, Cluster: cluster, Telemetry: tel, OnDecision: decisions.Record}
	err = offline.Run(ctx, func(ctx context.Context, gate *gateway.Gate) error {
		reviewer := &review.Reviewer{Gate: gate, Decisions: &decisions}
		for _, one := range group {
			if err := r.try(ctx, reviewer, one); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.broken(group, from.problems(err, t.doc))
	}
	return nil
}

// broken notes why the cases of a group that have no result could not be run.
func (r *runner) broken(group []*try, problems config.Problems) {
	r.problem(problems...)
	for _, t := range group {
		if t.result.Status == Broken {
			t.result.Problem = problems.Error()
		}
	}
}

// namespaces are those that the cases of a group go to.
func namespaces(group []*try) []string {
	var names []string
	for _, t := range group {
		if name := t.question.Request.GetNamespace(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (r *runner) try(ctx context.Context, reviewer *review.Reviewer, t *try) error {
	start := time.Now()
	came := reviewer.Ask(ctx, t.question)
	if ctx.Err() != nil {
		return ctx.Err() // not the case's fault
	}
	t.came = came
	t.result.DurationMS = float64(time.Since(start).Microseconds()) / 1000
	failures, err := t.doc.Cases[t.index].Expect.compare(t.doc, t.index, came)
	if err != nil {
		return err
	}
	if came.Verdict == review.Allowed {
		more, err := compareFields(t.doc.at("cases", t.index, "expect", "fields"), came.Final)
		if err != nil {
			return err
		}
		failures = append(failures, more...)
	}
	if t.golden != nil && came.Verdict == review.Allowed {
		more, written, err := t.golden.compare(came.Final, r.options.Update && !t.doc.Cases[t.index].reads(t.golden.file))
		if p, is := errors.AsType[unwritten](err); is {
			r.broken([]*try{t}, config.Problems{t.doc.problem(p.Error(), "cases", t.index, "expect", "object")})
			return nil
		}
		if err != nil {
			return err
		}
		failures = append(failures, more...)
		if written {
			r.report.Written = append(r.report.Written, t.golden.file)
		}
	}
	t.result.Status, t.result.Failures = Passed, failures
	if len(failures) > 0 {
		t.result.Status = Failed
	}
	return nil
}
