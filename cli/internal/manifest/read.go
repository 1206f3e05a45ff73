package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/config"
)

// Read reads all objects of paths, in order. A path is a file of YAML documents or JSON values, a
// folder (its .yaml, .yml and .json files by name, without those that IsTest, not its subfolders), or "-" for
// stdin. All problems are reported together, each as "file:line: what is wrong".
func Read(stdin io.Reader, paths ...string) ([]Object, error) {
	var objects []Object
	var problems []error
	for _, path := range paths {
		files, err := files(path)
		problems = append(problems, err)
		for _, file := range files {
			found, err := readFile(stdin, file)
			objects, problems = append(objects, found...), append(problems, err)
		}
	}
	return objects, errors.Join(problems...)
}

func files(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, plain(err)
	}
	var found []string
	var problems []error
	for _, e := range entries {
		if e.IsDir() || !isManifest(e.Name()) || IsTest(e.Name()) {
			continue
		}
		file := filepath.Join(path, e.Name())
		switch info, err := os.Stat(file); {
		case err != nil:
			problems = append(problems, plain(err))
		case !info.Mode().IsRegular(): // who reads a pipe waits for somebody to write
			problems = append(problems, fmt.Errorf("%s: not a regular file; take it out of the folder", file))
		default:
			found = append(found, file)
		}
	}
	if len(found)+len(problems) == 0 {
		return nil, fmt.Errorf("%s: no .yaml, .yml or .json files in this folder", path)
	}
	return found, errors.Join(problems...)
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// IsTest tells whether a file has tests of policies, by its name: NAME_test.yaml, .yml or .json. They may stand
// in a folder of manifests, and are none.
func IsTest(path string) bool {
	return isManifest(path) && strings.HasSuffix(strings.TrimSuffix(path, filepath.Ext(path)), "_test")
}

func readFile(stdin io.Reader, path string) ([]Object, error) {
	if path == "-" {
		data, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return Parse("stdin", data)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, plain(err)
	}
	return Parse(path, data)
}

// plain turns "open x: no such file or directory" into the "file: reason" form of all other problems.
func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// Parse reads the objects of one file's content; name is used in Object.Source and in problems.
func Parse(name string, data []byte) ([]Object, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		objects, err := parseJSON(name, data)
		if err == nil || strings.HasSuffix(name, ".json") {
			return objects, err
		}
	}
	return parseYAML(name, data)
}

// parseJSON reads JSON values one after another.
func parseJSON(name string, data []byte) ([]Object, error) {
	var all []Object
	var problems []error
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		start := skipSpace(data, int(d.InputOffset()))
		n, err := tree.ReadJSON(d)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return all, errors.Join(problems...)
		}
		if err != nil {
			at := int(d.InputOffset())
			if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
				at = int(e.ByteOffset)
			}
			problems = append(problems, fmt.Errorf("%s:%d: not valid JSON: %w", name, lineAt(data, at), reason(err)))
			return nil, errors.Join(problems...)
		}
		objects, err := expand(n, fmt.Sprintf("%s:%d", name, lineAt(data, start)))
		all, problems = append(all, objects...), append(problems, err)
	}
}

// reason returns what a JSON error says and where in the object, without the byte offset.
func reason(err error) error {
	e, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok || e.Err == nil {
		return err
	}
	if e.JSONPointer == "" {
		return e.Err
	}
	return fmt.Errorf("%w at %s", e.Err, e.JSONPointer)
}

func skipSpace(data []byte, at int) int {
	return len(data) - len(bytes.TrimLeft(data[at:], " \t\r\n"))
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(offset, len(data))], []byte("\n"))
}

// parseYAML reads YAML documents; empty ones are skipped.
func parseYAML(name string, data []byte) ([]Object, error) {
	var all []Object
	var problems []error
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all, errors.Join(problems...)
		}
		if err != nil {
			return nil, errors.Join(append(problems, config.SyntaxProblem(name, 1, data, err))...)
		}
		objects, err := document(name, &doc)
		all, problems = append(all, objects...), append(problems, err)
	}
}

func document(name string, doc *yaml.Node) ([]Object, error) {
	if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	n, err := tree.FromYAML(doc)
	if e, ok := errors.AsType[*tree.Error](err); ok {
		return nil, fmt.Errorf("%s:%d: %s", name, e.Line, e.Message)
	}
	return expand(n, fmt.Sprintf("%s:%d", name, doc.Content[0].Line))
}
