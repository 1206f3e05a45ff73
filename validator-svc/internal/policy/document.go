package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/sdk/config"
)

// File is one file of policies, bindings and params: a stream of YAML documents, or JSON.
type File struct {
	// Name is the file's path; it stands in front of every problem.
	Name string
	// Data is the content.
	Data []byte
}

// ReadFiles reads the files at paths. Of a folder it takes the *.yaml, *.yml and *.json directly in it, in
// the order of their names, as kube-apiserver does with a manifest folder.
func ReadFiles(paths []string) ([]File, error) {
	var files []File
	var errs []error
	for _, path := range paths {
		names, err := filesOf(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				errs = append(errs, fmt.Errorf("reading policies: %w", err))
				continue
			}
			files = append(files, File{Name: name, Data: data})
		}
	}
	return files, errors.Join(errs...)
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	return names, nil
}

// document is one object as it stands in a file.
type document struct {
	file   string
	line   int
	raw    []byte // as JSON
	object *unstructured.Unstructured
	node   *yamlv3.Node // the same, with line numbers
}

// documents splits files into objects; the items of a List count one by one.
func documents(files []File) ([]*document, config.Problems) {
	var docs []*document
	var problems config.Problems
	for _, f := range files {
		line := 1
		for _, text := range split(f.Data) {
			found, bad := read(f.Name, line, text)
			docs = append(docs, found...)
			problems = append(problems, bad...)
			line += bytes.Count(text, []byte("\n"))
		}
	}
	return docs, problems
}

// split cuts a stream at its "---" lines. Each part begins with its separator.
func split(data []byte) [][]byte {
	var parts [][]byte
	for {
		at := bytes.Index(data, []byte("\n---"))
		if at < 0 {
			return append(parts, data)
		}
		parts = append(parts, data[:at+1])
		data = data[at+1:]
	}
}

func read(file string, line int, text []byte) ([]*document, config.Problems) {
	// Empty lines in front make the parsers count from the beginning of the file.
	padded := append(bytes.Repeat([]byte("\n"), line-1), text...)
	// sigs.k8s.io/yaml, because it reads a document as kubectl does.
	raw, err := yaml.YAMLToJSONStrict(padded)
	if err != nil {
		return nil, syntaxProblems(file, line, err)
	}
	if string(raw) == "null" {
		return nil, nil // nothing between two separators
	}
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(padded, &root); err != nil || len(root.Content) == 0 {
		return nil, config.Problems{{File: file, Line: line, Message: fmt.Sprintf("not YAML: %v", err)}}
	}
	return expand(file, root.Content[0], raw)
}

func expand(file string, node *yamlv3.Node, raw []byte) ([]*document, config.Problems) {
	d := &document{file: file, line: node.Line, raw: raw, node: node, object: &unstructured.Unstructured{}}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &d.object.Object); err != nil {
		return nil, config.Problems{d.problem("", "not a Kubernetes object: %v; write a mapping with apiVersion, kind and metadata", err)}
	}
	if d.object.GetAPIVersion() == "" || d.object.GetKind() == "" {
		return nil, config.Problems{d.problem("", "not a Kubernetes object; write apiVersion and kind")}
	}
	if !d.object.IsList() {
		return []*document{d}, nil
	}
	var docs []*document
	var problems config.Problems
	items, _, _ := unstructured.NestedSlice(d.object.Object, "items")
	for i, item := range items {
		raw, err := json.Marshal(item)
		if err != nil {
			problems = append(problems, d.problem(fmt.Sprintf("items[%d]", i), "%v", err))
			continue
		}
		node, _ := d.at(fmt.Sprintf("items[%d]", i))
		found, bad := expand(file, node, raw)
		docs = append(docs, found...)
		problems = append(problems, bad...)
	}
	return docs, problems
}

// problem is something wrong with the field at path ("" is the whole document).
func (d *document) problem(path, format string, args ...any) config.Problem {
	message := fmt.Sprintf(format, args...)
	if name := d.object.GetName(); name != "" {
		message = fmt.Sprintf("%s '%s': %s", d.object.GetKind(), name, message)
	}
	_, line := d.at(path)
	return config.Problem{File: d.file, Line: line, Path: path, Message: message}
}

// step is one step of a path as k8s.io/apimachinery's field package writes it: .name or [key].
var step = regexp.MustCompile(`\.?([^.\[\]]+)|\[([^\]]*)\]`)

// at returns the node at path, or the innermost that exists of those around it, and the line where it
// begins: that of its key, if it has one.
func (d *document) at(path string) (node *yamlv3.Node, line int) {
	node, line = d.node, d.node.Line
	for _, m := range step.FindAllStringSubmatch(path, -1) {
		next, at := child(node, m[1]+m[2])
		if next == nil {
			break
		}
		node, line = next, at
	}
	return node, line
}

func child(node *yamlv3.Node, name string) (*yamlv3.Node, int) {
	if node.Kind == yamlv3.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	case yamlv3.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
	}
	return nil, 0
}

// yamlError finds the line in what YAML parsers say.
var yamlError = regexp.MustCompile(`line (\d+): (.*)`)

func syntaxProblems(file string, line int, err error) config.Problems {
	matches := yamlError.FindAllStringSubmatch(err.Error(), -1)
	if matches == nil {
		return config.Problems{{File: file, Line: line, Message: fmt.Sprintf("not YAML: %v", err)}}
	}
	var problems config.Problems
	for _, m := range matches {
		at, err := strconv.Atoi(m[1])
		if err != nil {
			at = line
		}
		problems = append(problems, config.Problem{File: file, Line: at, Message: "not YAML: " + strings.TrimSpace(m[2])})
	}
	return problems
}

// strictError finds the path in what sigs.k8s.io/json says about a field it does not know.
var strictError = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)

// typeError finds the path in what it says about a value of the wrong type. Indices of lists are left out.
var typeError = regexp.MustCompile(`into Go struct field \w+\.([\w.]+) of type`)

// decode fills into strictly: a field that the type does not have is a problem.
func (d *document) decode(into any) config.Problems {
	strict, err := kjson.UnmarshalStrict(d.raw, into)
	if err != nil {
		path := ""
		if m := typeError.FindStringSubmatch(err.Error()); m != nil {
			path = m[1]
		}
		return config.Problems{d.problem(path, "%s; correct the value", strings.TrimPrefix(err.Error(), "json: "))}
	}
	var problems config.Problems
	for _, err := range strict {
		if m := strictError.FindStringSubmatch(err.Error()); m != nil {
			problems = append(problems, d.problem(m[2], "%s field; correct its name or remove it", m[1]))
			continue
		}
		problems = append(problems, d.problem("", "%v", err))
	}
	return problems
}
