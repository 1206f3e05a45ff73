package casetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/stream"
)

// document is a Test, and how it stands in its file.
type document struct {
	*Test

	file string
	root *tree.Node
}

// at returns the value at a path of member names and indices; nil when it is not there.
func (d *document) at(path ...any) *tree.Node {
	n := d.root
	for _, step := range path {
		switch step := step.(type) {
		case string:
			n = n.Get(step)
		case int:
			if n == nil || step >= len(n.Items) {
				return nil
			}
			n = n.Items[step]
		}
	}
	return n
}

// line returns the line of the value at path, or else of what is around it.
func (d *document) line(path ...any) int {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if n := d.at(path...); n != nil {
			return n.Line
		}
	}
	return d.root.Line
}

// problem is something wrong with the value at path.
func (d *document) problem(message string, path ...any) config.Problem {
	text := ""
	for _, step := range path {
		switch step := step.(type) {
		case string:
			if text != "" {
				text += "."
			}
			text += step
		case int:
			text += fmt.Sprintf("[%d]", step)
		}
	}
	return config.Problem{File: d.file, Line: d.line(path...), Path: text, Message: message}
}

// find returns the test files at paths: of a folder all below it, by their names. Folders whose names begin with a
// dot are left out, unless they are named themselves.
func find(paths []string) ([]string, error) {
	var files []string
	seen := map[string]bool{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, errors.Unwrap(err))
		}
		if !info.IsDir() && !manifest.IsTest(path) {
			return nil, fmt.Errorf("%s is no test file by its name; tests are in NAME_test.yaml, .yml or .json", path)
		}
		root := path
		if info.IsDir() {
			root += string(filepath.Separator) // a link to a folder is followed, if it is named itself
		}
		err = filepath.WalkDir(root, func(at string, e os.DirEntry, err error) error {
			switch {
			case err != nil:
				return fmt.Errorf("looking for tests: %w", err)
			case e.IsDir() && at != root && e.Name()[0] == '.':
				return filepath.SkipDir
			case !e.IsDir() && manifest.IsTest(at) && !seen[filepath.Clean(at)]:
				seen[filepath.Clean(at)] = true
				files = append(files, filepath.Clean(at))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// readFile reads a test file.
func readFile(path string) ([]*document, config.Problems) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // who reads a pipe waits for somebody to write
		return nil, config.Problems{{File: path, Line: 1, Message: "not a regular file; take it out of the folder"}}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, config.Problems{{File: path, Line: 1, Message: errors.Unwrap(err).Error()}}
	}
	return parse(path, data)
}

// parse reads the documents of a test file.
func parse(file string, data []byte) ([]*document, config.Problems) {
	var docs []*document
	var problems config.Problems
	found := false
	for _, part := range stream.Split(data) {
		// Empty lines in front make the parsers count from the beginning of the file.
		padded := append(bytes.Repeat([]byte("\n"), part.Line-1), part.Text...)
		if empty(padded) {
			continue
		}
		found = true
		d, bad := parseDocument(file, padded)
		problems = append(problems, bad...)
		if d != nil {
			docs = append(docs, d)
		}
	}
	if !found {
		return nil, config.Problems{{File: file, Line: 1, Message: "the file is empty; write a document of kind " + Kind}}
	}
	return docs, append(problems, repeated(docs)...)
}

// empty tells whether there is nothing between two separators.
func empty(data []byte) bool {
	var root yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&root)
	return errors.Is(err, io.EOF) || err == nil && (len(root.Content) == 0 || root.Content[0].ShortTag() == "!!null" && root.Content[0].Kind == yaml.ScalarNode)
}

func parseDocument(file string, data []byte) (*document, config.Problems) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err == nil && root.Content[0].Kind == yaml.MappingNode {
		if problem := kindProblem(file, root.Content[0]); problem != nil {
			return nil, config.Problems{*problem}
		}
	}
	test, err := config.Parse[Test](file, data, Kind)
	if err != nil {
		problems, ok := errors.AsType[config.Problems](err)
		if !ok {
			problems = config.Problems{{File: file, Line: 1, Message: err.Error()}}
		}
		return nil, problems
	}
	n, err := tree.FromYAML(&root)
	if e, ok := errors.AsType[*tree.Error](err); ok {
		return nil, config.Problems{{File: file, Line: e.Line, Message: e.Message}}
	}
	d := &document{Test: test, file: file, root: n}
	if problems := append(d.outOfPlace(), d.unsaid()...); len(problems) > 0 {
		return nil, problems
	}
	return d, nil
}

// unsaid says what looks as if it asked for something and does not, such as warnings of which all are commented
// out: a case would pass that shows less than it seems to.
func (d *document) unsaid() config.Problems {
	var problems config.Problems
	for i := range d.Cases {
		expect := d.at("cases", i, "expect")
		if expect == nil {
			continue
		}
		for _, m := range expect.Members {
			path := []any{"cases", i, "expect", m.Name}
			switch empty := m.Value.Kind == tree.String && m.Value.Text == ""; {
			case m.Value.Kind == tree.Literal && m.Value.Text == "null":
				problems = append(problems, d.problem("nothing is here, so that it is not looked at; write what is expected ([] for none in a list), or remove it", path...))
			case m.Name == "code" && m.Value.Text == "0", empty && m.Name != "error":
				problems = append(problems, d.problem("it would not be looked at; write what is expected, or remove it", path...))
			}
		}
	}
	return problems
}

// outOfPlace says what of the services' documents only a process of its own can use.
func (d *document) outOfPlace() config.Problems {
	var problems config.Problems
	for _, service := range []string{"mutator", "validator"} {
		for _, name := range []string{"apiVersion", "kind", "listen", "admin"} {
			if d.at(service, name) != nil {
				problems = append(problems, d.problem("not allowed here; remove it: in a test nobody listens", service, name))
			}
		}
	}
	return problems
}

// kindProblem says that a document is not a Test; the parser would propose the kinds of a configuration.
func kindProblem(file string, root *yaml.Node) *config.Problem {
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Value == "kind" && value.Value == Kind {
			return nil
		}
		if key.Value == "kind" {
			return &config.Problem{File: file, Line: key.Line, Path: "kind", Message: fmt.Sprintf("%q in a file of tests; write kind: %s", value.Value, Kind)}
		}
	}
	return &config.Problem{File: file, Line: root.Line, Path: "kind", Message: "missing; write kind: " + Kind}
}

// repeated says which names there are twice.
func repeated(docs []*document) config.Problems {
	var problems config.Problems
	first := map[string]int{}
	for _, d := range docs {
		for i, c := range d.Cases {
			if line, twice := first[c.Name]; twice {
				problems = append(problems, d.problem(fmt.Sprintf("a second %q, the first is at line %d; rename one of them", c.Name, line), "cases", i, "name"))
				continue
			}
			first[c.Name] = d.line("cases", i, "name")
		}
	}
	return problems
}
