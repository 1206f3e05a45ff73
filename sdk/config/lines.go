package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds on what one document may unfold into: aliases let a short text stand for an endless one.
const (
	maxDepth = 100
	maxNodes = 100_000
)

// reader turns a document into a JSON tree. On the way it compares the document with the Go type it is
// for, so that it can report everything that does not fit together with its line.
type reader struct {
	file     string
	problems Problems
	said     map[Problem]bool
	lines    map[string]int      // path to line
	reported map[string]bool     // paths that hold a problem already, so that consequences go unsaid
	open     map[*yaml.Node]bool // the nodes around the current one
	nodes    int
}

func newReader(file string) *reader {
	return &reader{
		file: file, said: map[Problem]bool{},
		lines: map[string]int{}, reported: map[string]bool{}, open: map[*yaml.Node]bool{},
	}
}

// Mismatches says what of a document does not fit into, a pointer to a struct with the JSON names of its fields: fields
// that it does not have, and values of other types, with their lines in file. Kubernetes' own types are taken as they
// are; that a value cannot be decoded for any other reason is not told.
func Mismatches(file string, document *yaml.Node, into any) Problems {
	r := newReader(file)
	r.document(document, reflect.TypeOf(into).Elem())
	r.problems.Sort()
	return r.problems
}

func (r *reader) document(n *yaml.Node, t reflect.Type) any {
	tree, _ := r.value(n, t, "", 0).(map[string]any)
	known := fields(t)
	for _, key := range []string{"apiVersion", "kind"} {
		if _, ok := known[key]; !ok {
			delete(tree, key)
		}
	}
	return tree
}

// value returns n as JSON would hold it, or nil where n does not fit t. A nil t takes anything.
func (r *reader) value(n *yaml.Node, t reflect.Type, path string, depth int) any {
	if n.Kind == yaml.AliasNode {
		return r.value(n.Alias, t, path, depth+1)
	}
	if !r.enter(n, path, depth) {
		return nil
	}
	defer delete(r.open, n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		if countsByPresence(t) {
			r.report(n, path, "nothing where a mapping is wanted; write {} for the defaults, or remove the line")
		}
		return nil
	}

	own, shape := shapeOf(t)
	if own != nil {
		return r.custom(n, own, path, depth)
	}
	if want := shape.mismatch(n); want != "" {
		r.report(n, path, "%s where %s is wanted; %s", describe(n), want, shape.remedy(n))
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return r.mapping(n, shape, path, depth)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.lines[at] = item.Line
			list[i] = r.value(item, shape.elem, at, depth+1)
		}
		return list
	default:
		return r.scalar(n, shape, path)
	}
}

// enter says whether n may be looked into. The caller leaves it with delete(r.open, n).
func (r *reader) enter(n *yaml.Node, path string, depth int) bool {
	r.nodes++
	switch {
	case r.open[n]:
		r.report(n, path, "an alias of what it stands in; write out what is meant")
		return false
	case depth > maxDepth || r.nodes > maxNodes:
		if r.nodes < 2*maxNodes { // once is enough
			r.report(n, path, "nested too deeply or too large with its aliases written out; make it smaller")
			r.reported[""] = true // what follows is incomplete
		}
		r.nodes = max(r.nodes, 2*maxNodes)
		return false
	}
	r.open[n] = true
	return true
}

func (r *reader) mapping(n *yaml.Node, s shape, path string, depth int) any {
	out := map[string]any{}
	known := s.fields
	if known != nil && path == "" {
		known = map[string]reflect.Type{"apiVersion": nil, "kind": nil} // also where the Go type leaves them out
		maps.Copy(known, s.fields)
	}
	for _, e := range r.entries(n, path, 0) {
		at := child(path, e.name, known == nil)
		r.lines[at] = e.key.Line
		elem := s.elem
		if known != nil {
			t, ok := known[e.name]
			if !ok {
				names := slices.Collect(maps.Keys(known))
				r.report(e.key, at, "unknown field; %s", suggest(e.name, names))
				if near := nearest(e.name, names); near != "" {
					r.reported[child(path, near, false)] = true // that it is missing needs no saying
				}
				continue
			}
			elem = t
		}
		if e.hides && e.value.ShortTag() == "!!null" {
			continue // the way to undo what a merge key brings
		}
		out[e.name] = r.value(e.value, elem, at, depth+1)
	}
	return out
}

type entry struct {
	name       string
	key, value *yaml.Node
	hides      bool // whether it takes the place of one that a merge key brings
}

// entries lists a mapping's own entries and then those of its merge keys that it does not set itself.
func (r *reader) entries(n *yaml.Node, path string, depth int) []entry {
	var own, merged []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, r.merge(value, path, depth+1)...)
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			r.report(key, path, "a key that is a %s; write a string, in quotes if need be", describe(key))
		case lines[key.Value] > 0:
			r.report(key, child(path, key.Value, false), "a second %s, the first is at line %d; keep one of them", key.Value, lines[key.Value])
		default:
			lines[key.Value] = key.Line
			own = append(own, entry{name: key.Value, key: key, value: value})
		}
	}
	for i := range own {
		own[i].hides = slices.ContainsFunc(merged, func(e entry) bool { return e.name == own[i].name })
	}
	for _, e := range merged {
		if lines[e.name] == 0 { // the first to set a key wins
			lines[e.name] = e.key.Line
			own = append(own, e)
		}
	}
	return own
}

func (r *reader) merge(n *yaml.Node, path string, depth int) []entry {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if !r.enter(n, path, depth) {
		return nil
	}
	defer delete(r.open, n)
	switch n.Kind {
	case yaml.MappingNode:
		return r.entries(n, path, depth)
	case yaml.SequenceNode:
		var all []entry
		for _, item := range n.Content {
			all = append(all, r.merge(item, path, depth+1)...)
		}
		return all
	default:
		r.report(n, path, "a merge key (<<) with a %s; merge a mapping or a list of mappings", describe(n))
		return nil
	}
}

// custom leaves the judgement to a type that decodes itself, such as metav1.Duration.
func (r *reader) custom(n *yaml.Node, t reflect.Type, path string, depth int) any {
	problems := len(r.problems)
	delete(r.open, n) // entered once more, as plain data
	tree := r.value(n, nil, path, depth+1)
	if len(r.problems) > problems {
		return nil
	}
	raw, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(raw, reflect.New(t).Interface())
	}
	switch {
	case err == nil:
		return tree
	case t == reflect.TypeFor[metav1.Duration](): // whose own words are about Go
		r.report(n, path, "%v is not a duration; write a number with its unit, such as 250ms or 3s", tree)
	default:
		r.report(n, path, "%s; correct the value", err)
	}
	return nil
}

func (r *reader) scalar(n *yaml.Node, s shape, path string) any {
	tag := n.ShortTag()
	if tag == "!!str" || tag == "!!timestamp" || tag == "!!binary" {
		return n.Value
	}
	var value any
	if err := n.Decode(&value); err != nil {
		r.report(n, path, "%s; correct the value", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	raw, err := json.Marshal(value)
	if err == nil && s.kind != nil {
		err = json.Unmarshal(raw, reflect.New(s.kind).Interface())
	}
	if err != nil { // NaN, 1.5 for an int, 300 for an int8
		r.report(n, path, "%s does not fit; write %s", n.Value, s.name())
		return nil
	}
	return value
}

// invalid adds what Validate said, each error at the line of its field or else of what surrounds it.
func (r *reader) invalid(document *yaml.Node, errs field.ErrorList) {
	for _, err := range errs {
		if r.known(err.Field) {
			continue
		}
		line := document.Line
		for at := err.Field; at != ""; at = parent(at) {
			if l, ok := r.lines[at]; ok {
				line = l
				break
			}
		}
		r.problems = append(r.problems, Problem{File: r.file, Line: line, Path: err.Field, Message: message(err)})
	}
}

// known tells whether path, or something around it, has a problem already.
func (r *reader) known(path string) bool {
	for at := path; at != ""; at = parent(at) {
		if r.reported[at] {
			return true
		}
	}
	return r.reported[""]
}

func (r *reader) report(n *yaml.Node, path, format string, args ...any) {
	r.reported[path] = true
	line := max(n.Line, 1)
	if l, ok := r.lines[path]; ok && n.Kind != yaml.ScalarNode {
		line = l
	}
	problem := Problem{File: r.file, Line: line, Path: path, Message: fmt.Sprintf(format, args...)}
	if !r.said[problem] { // an alias repeats what is wrong with its anchor
		r.said[problem] = true
		r.problems = append(r.problems, problem)
	}
}

// child writes a path as field.Path does: a map's key in brackets, a struct's field after a dot.
func child(path, name string, key bool) string {
	switch {
	case key:
		return path + "[" + name + "]"
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// parent cuts the last step off a path; the parent of a top-level field is "".
func parent(path string) string {
	if strings.HasSuffix(path, "]") {
		return path[:max(strings.LastIndexByte(path, '['), 0)]
	}
	return path[:max(strings.LastIndexByte(path, '.'), 0)]
}
