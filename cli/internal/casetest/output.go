package casetest

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/sdk/config"
)

// Output says how a report is written.
type Output struct {
	// Style is that of a table.
	Style render.Style
	// FailOnly leaves out the cases that passed, but not from the counts.
	FailOnly bool
	// Time adds how long the run took to a table.
	Time bool
}

// Printers returns what writes a report, by the name of its format:
//   - table: a line for each case, and under one that failed what was wanted and what came
//   - json: one JSON document
//   - junit: JUnit's XML, as CI systems read it
func Printers(o Output) map[string]func(io.Writer, *Report) error {
	return map[string]func(io.Writer, *Report) error{"table": o.table, "json": o.json, "junit": o.junit}
}

func (o Output) table(w io.Writer, r *Report) error {
	var b strings.Builder
	words := map[string]string{
		Passed: o.Style.Paint(render.Green, "PASS"), Failed: o.Style.Paint(render.Red, "FAIL"), Broken: o.Style.Paint(render.Yellow, "ERROR"),
	}
	for _, result := range o.shown(r) {
		gap := "  "
		if result.Status == Broken { // its word is one longer
			gap = " "
		}
		fmt.Fprintf(&b, "%s%s%s  %s\n", words[result.Status], gap, render.Clean(result.File), render.Clean(result.Name))
		if result.Status == Failed {
			fmt.Fprintf(&b, "      %s\n", o.Style.Paint(render.Dim, render.Clean(fmt.Sprintf("%s:%d", result.File, result.Line))))
		}
		for _, f := range result.Failures {
			b.WriteString(o.indented(f.text()))
		}
	}
	b.WriteString(o.summary(r) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// indented is the text of a failure under its case.
func (o Output) indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "  -"):
			line = o.Style.Paint(render.Red, line)
		case strings.HasPrefix(line, "  +"):
			line = o.Style.Paint(render.Green, line)
		}
		b.WriteString("      " + line + "\n")
	}
	return b.String()
}

// text is a failure for people, in lines. A diff has "-" for what is wanted and "+" for what came.
func (f Failure) text() string {
	if f.Diff != "" {
		return fmt.Sprintf("%s (-want +got):\n%s", f.Field, hang(f.Diff, "  ", "  "))
	}
	return fmt.Sprintf("%s:\n%s%s", f.Field, hang(f.Want, "  want: ", "        "), hang(f.Got, "  got:  ", "        "))
}

// hang writes lines with first in front of the first one and others in front of the others.
func hang(text, first, others string) string {
	lines := strings.Split(strings.TrimSuffix(render.Clean(text), "\n"), "\n")
	return first + strings.Join(lines, "\n"+others) + "\n"
}

// summary says how many cases there were, and what came of them.
func (o Output) summary(r *Report) string {
	passed, failed, broken := r.Count(Passed), r.Count(Failed), r.Count(Broken)
	text := fmt.Sprintf("%s in %s: %d passed, %d failed", plural(len(r.Results), "case"), plural(len(r.filesWithCases()), "file"), passed, failed)
	if broken > 0 {
		text += fmt.Sprintf(", %d could not be run", broken)
	}
	if n := len(r.unread()); n > 0 {
		text += fmt.Sprintf("; %s could not be understood", plural(n, "file"))
	}
	if o.Time {
		text += fmt.Sprintf(" (%s)", r.Took.Round(10*time.Millisecond))
	}
	color := render.Green
	if failed > 0 || len(r.Problems) > 0 {
		color = render.Red
	}
	return o.Style.Paint(color, text)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (o Output) shown(r *Report) []*Result {
	if !o.FailOnly {
		return r.Results
	}
	return slices.DeleteFunc(slices.Clone(r.Results), func(r *Result) bool { return r.Status == Passed })
}

// filesWithCases are those whose cases are among the results.
func (r *Report) filesWithCases() []string {
	var files []string
	for _, result := range r.Results {
		if !slices.Contains(files, result.File) {
			files = append(files, result.File)
		}
	}
	return files
}

// unread are the files whose cases are not among the results, because they cannot be understood.
func (r *Report) unread() []string {
	with := r.filesWithCases()
	return slices.DeleteFunc(slices.Clone(r.Files), func(file string) bool {
		return slices.Contains(with, file) || len(problemsOf(r.Problems, file)) == 0
	})
}

type jsonReport struct {
	Summary  jsonSummary   `json:"summary"`
	Problems []jsonProblem `json:"problems"`
	Results  []*Result     `json:"results"`
}

type jsonSummary struct {
	Files      int     `json:"files"`
	Cases      int     `json:"cases"`
	Passed     int     `json:"passed"`
	Failed     int     `json:"failed"`
	Broken     int     `json:"broken"`
	DurationMS float64 `json:"durationMs"`
}

type jsonProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

func (o Output) json(w io.Writer, r *Report) error {
	out := jsonReport{
		Summary: jsonSummary{
			Files: len(r.filesWithCases()), Cases: len(r.Results), Passed: r.Count(Passed), Failed: r.Count(Failed), Broken: r.Count(Broken),
			DurationMS: float64(r.Took.Microseconds()) / 1000,
		},
		Problems: []jsonProblem{},
		Results:  append([]*Result{}, o.shown(r)...),
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, jsonProblem(p))
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func (o Output) junit(w io.Writer, r *Report) error {
	suites := junit.Testsuites{Name: "gatefold test", Time: seconds(r.Took)}
	for _, file := range r.Files {
		if suite, there := o.suite(r, file); there {
			suite.ID = len(suites.Suites)
			suites.AddSuite(suite)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return suites.WriteXML(w)
}

// suite is one file as JUnit has it. What is wrong with the file itself is the error of a case of its own.
func (o Output) suite(r *Report, file string) (suite junit.Testsuite, there bool) {
	suite = junit.Testsuite{Name: file, File: file}
	var took time.Duration
	for _, result := range r.Results {
		if result.File != file {
			continue
		}
		there = true
		own := time.Duration(result.DurationMS * float64(time.Millisecond))
		took += own
		if o.FailOnly && result.Status == Passed {
			suite.Tests++
			continue
		}
		c := junit.Testcase{Name: render.Clean(result.Name), Classname: file, Time: seconds(own)}
		switch result.Status {
		case Failed:
			c.Failure = &junit.Result{Message: failed(result), Data: fmt.Sprintf("%s:%d\n%s", result.File, result.Line, texts(result))}
		case Broken:
			c.Error = &junit.Result{Message: "the case could not be run", Data: render.Clean(result.Problem)}
		}
		suite.AddTestcase(c)
	}
	if own := problemsOf(r.Problems, file); !there && len(own) > 0 {
		there = true
		suite.AddTestcase(junit.Testcase{Name: file, Classname: file, Time: seconds(0), Error: &junit.Result{
			Message: "the file cannot be understood", Data: render.Clean(own.Error()),
		}})
	}
	suite.Time = seconds(took)
	return suite, there
}

func problemsOf(all config.Problems, file string) config.Problems {
	return slices.DeleteFunc(slices.Clone(all), func(p config.Problem) bool { return p.File != file })
}

// failed says in a line what was not as it was wanted.
func failed(r *Result) string {
	var fields []string
	for _, f := range r.Failures {
		fields = append(fields, f.Field)
	}
	return "not as expected: " + strings.Join(fields, ", ")
}

func texts(r *Result) string {
	var b strings.Builder
	for _, f := range r.Failures {
		b.WriteString(f.text())
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
