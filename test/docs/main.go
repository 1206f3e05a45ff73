// Command docs writes the pages of docs/reference from the code: from its comments, from the help texts of
// the built programs, and from what a running gate measures and traces. With -check it writes nothing, and
// fails when a page is not what it would write.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/gatefold/gatefold/test/internal/harness"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail when a page is not current")
	flag.Parse()
	if err := write(context.Background(), *check); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err) //nolint:forbidigo // this is a main function's file
		os.Exit(1)                            //nolint:forbidigo // as above
	}
}

func write(ctx context.Context, check bool) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	w, err := readWords(filepath.Join(root, "test/docs/descriptions.yaml"))
	if err != nil {
		return err
	}
	pages := []struct {
		name string
		data func(ctx context.Context, root string, w *words) (any, error)
	}{
		{"configuration.md", configuration},
		{"command-line.md", commandLine},
		{"identity.md", annotations},
		{"telemetry.md", telemetryPage},
	}
	texts := map[string][]byte{}
	for _, page := range pages {
		data, err := page.data(ctx, root, w)
		if err != nil {
			return fmt.Errorf("%s: %w", page.name, err)
		}
		if texts[page.name], err = render(filepath.Join(root, "test/docs/pages", page.name+".tmpl"), data); err != nil {
			return err
		}
	}
	if err := w.check(); err != nil {
		return err
	}
	var problems []error
	for name, text := range texts {
		file := filepath.Join(root, "docs/reference", name)
		if check {
			problems = append(problems, compare(ctx, file, text))
		} else {
			problems = append(problems, os.WriteFile(file, text, 0o644)) //nolint:gosec // a page for everybody
		}
	}
	return errors.Join(problems...)
}

// render fills the template of a page.
func render(file string, data any) ([]byte, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	functions := template.FuncMap{"code": code, "codes": codes, "join": strings.Join, "sorted": sorted}
	page, err := template.New(filepath.Base(file)).Funcs(functions).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, data)
	return out.Bytes(), err
}

// compare fails with the difference when file does not hold text.
func compare(ctx context.Context, file string, text []byte) error {
	diff := exec.CommandContext(ctx, "diff", "-uN", "--label", "as it is", "--label", "as it should be", file, "-")
	diff.Stdin = bytes.NewReader(text)
	if out, err := diff.CombinedOutput(); err != nil {
		return fmt.Errorf("%s is not current: run make docs\n%s", filepath.Base(file), out)
	}
	return nil
}

// code writes s as code, in a table or outside.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

// sorted lists a set.
func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// codes writes a list of names.
func codes(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = code(name)
	}
	return strings.Join(out, ", ")
}
