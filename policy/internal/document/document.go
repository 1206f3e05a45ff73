// Package document reads the objects in files of YAML or JSON, and remembers where each field stands.
package document

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/stream"

	"github.com/gatefold/gatefold/policy"
)

// Document is one object as it stands in a file.
type Document struct {
	// File is the file's path, and Line where the object begins in it.
	File string
	Line int
	// Object is the object. It is not changed.
	Object *unstructured.Unstructured

	raw  []byte       // as JSON
	node *yamlv3.Node // the same, with line numbers
}

// Read splits files into objects; the items of a List count one by one.
func Read(files []policy.File) ([]*Document, config.Problems) {
	var docs []*Document
	var problems config.Problems
	for _, f := range files {
		for _, d := range stream.Split(f.Data) {
			raw, root, bad := d.Read(f.Name)
			problems = append(problems, bad...)
			if root == nil {
				continue
			}
			found, bad := expand(f.Name, root, raw)
			docs = append(docs, found...)
			problems = append(problems, bad...)
		}
	}
	return docs, problems
}

func expand(file string, node *yamlv3.Node, raw []byte) ([]*Document, config.Problems) {
	d := &Document{File: file, Line: node.Line, raw: raw, node: node, Object: &unstructured.Unstructured{}}
	if node.Kind != yamlv3.MappingNode {
		return nil, config.Problems{{File: file, Line: node.Line, Message: "not a Kubernetes object; write a mapping with apiVersion, kind and metadata"}}
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &d.Object.Object); err != nil {
		return nil, config.Problems{d.Problem("", "not a Kubernetes object: %v; write a mapping with apiVersion, kind and metadata", err)}
	}
	if d.Object.GetAPIVersion() == "" || d.Object.GetKind() == "" {
		return nil, config.Problems{d.Problem("", "not a Kubernetes object; write apiVersion and kind")}
	}
	if _, err := schema.ParseGroupVersion(d.Object.GetAPIVersion()); err != nil { // it would be of no kind, and nobody's
		return nil, config.Problems{d.Problem("apiVersion", "%q is no apiVersion; write VERSION or GROUP/VERSION", d.Object.GetAPIVersion())}
	}
	if !d.Object.IsList() {
		return []*Document{d}, nil
	}
	var docs []*Document
	var problems config.Problems
	items, _, _ := unstructured.NestedSlice(d.Object.Object, "items")
	for i, item := range items {
		raw, err := json.Marshal(item)
		if err != nil {
			problems = append(problems, d.Problem(fmt.Sprintf("items[%d]", i), "%v", err))
			continue
		}
		node, _ := d.at(fmt.Sprintf("items[%d]", i))
		found, bad := expand(file, node, raw)
		docs = append(docs, found...)
		problems = append(problems, bad...)
	}
	return docs, problems
}

// Defines returns the kind that a CustomResourceDefinition defines; ok is false for any other object.
func (d *Document) Defines() (kind schema.GroupKind, ok bool) {
	if d.Object.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
		return kind, false
	}
	kind.Group, _, _ = unstructured.NestedString(d.Object.Object, "spec", "group")
	kind.Kind, _, _ = unstructured.NestedString(d.Object.Object, "spec", "names", "kind")
	return kind, true
}

// Problem is something wrong with the field at path ("" is the whole document).
func (d *Document) Problem(path, format string, args ...any) config.Problem {
	_, line := d.at(path)
	return config.Problem{File: d.File, Line: line, Path: path, Message: d.named(fmt.Sprintf(format, args...))}
}

// named says of which object the message is.
func (d *Document) named(message string) string {
	name := d.Object.GetName()
	if name == "" {
		return message
	}
	return fmt.Sprintf("%s '%s': %s", cmp.Or(d.Object.GetKind(), "object"), name, message)
}

// Problems places errs, whose paths are those of the object, in the file.
func (d *Document) Problems(errs field.ErrorList) config.Problems {
	var problems config.Problems
	for _, err := range errs {
		message := err.ErrorBody()
		if err.Detail != "" && strings.HasSuffix(err.Field, "xpression") {
			message = err.Detail // the compiler shows the expression, with a mark where it is wrong
		}
		problems = append(problems, d.Problem(err.Field, "%s", message))
	}
	return problems
}

// step is one step of a path as k8s.io/apimachinery's field package writes it: .name or [key].
var step = regexp.MustCompile(`\.?([^.\[\]]+)|\[([^\]]*)\]`)

// at returns the node at path, or the innermost that exists of those around it, and the line where it
// begins: that of its key, if it has one.
func (d *Document) at(path string) (node *yamlv3.Node, line int) {
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

// typeError finds the path in what sigs.k8s.io/json says about a value of the wrong type. Indices of lists are left out.
var typeError = regexp.MustCompile(`into Go struct field \w+\.([\w.]+) of type`)

// Decode fills into, a pointer to a struct, strictly: a field that it does not have is a problem.
func (d *Document) Decode(into any) config.Problems {
	strict, err := kjson.UnmarshalStrict(d.raw, into)
	if err == nil && len(strict) == 0 {
		return nil
	}
	problems := config.Mismatches(d.File, d.node, into)
	for i, p := range problems {
		problems[i].Message = d.named(p.Message)
	}
	switch {
	case len(problems) > 0:
	case err != nil:
		path, remedy := "", "correct the value"
		if m := typeError.FindStringSubmatch(err.Error()); m != nil {
			path = m[1]
		}
		if strings.Contains(err.Error(), "cannot unmarshal bool into") { // message: yes
			remedy = "yes, no, on and off are true or false to kubectl, which reads YAML 1.1: put the value in quotes"
		}
		problems = config.Problems{d.Problem(path, "%s; %s", strings.TrimPrefix(err.Error(), "json: "), remedy)}
	default:
		problems = config.Problems{d.Problem("", "%v", errors.Join(strict...))}
	}
	return problems
}
