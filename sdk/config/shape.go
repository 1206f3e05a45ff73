package config

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// shape is what a Go type takes, seen from YAML. The zero shape takes anything.
type shape struct {
	kind   reflect.Type            // the type itself, without pointers
	fields map[string]reflect.Type // of a struct
	elem   reflect.Type            // of a map or a list
}

// countsByPresence tells whether it matters that a field is there, even if it is empty: a pointer to a struct of
// ours, which a null would leave nil without a word. (Of Kubernetes' types a null is an absent value everywhere.)
func countsByPresence(t reflect.Type) bool {
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return false
	}
	return !strings.HasPrefix(t.Elem().PkgPath(), "k8s.io/")
}

// shapeOf returns the shape of t; or the type itself when it decodes itself.
func shapeOf(t reflect.Type) (custom reflect.Type, s shape) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface {
		return nil, shape{}
	}
	p := reflect.PointerTo(t)
	if p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return t, shape{}
	}
	switch s.kind = t; t.Kind() {
	case reflect.Struct:
		s.fields = fields(t)
	case reflect.Map, reflect.Slice, reflect.Array:
		s.elem = t.Elem()
	}
	return nil, s
}

// fields returns the JSON names of a struct's fields, those of embedded structs among them.
func fields(t reflect.Type) map[string]reflect.Type {
	out, embedded := map[string]reflect.Type{}, map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case name == "-" || (!f.IsExported() && !f.Anonymous):
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			maps.Copy(embedded, fields(inner))
		case f.IsExported():
			out[cmp.Or(name, f.Name)] = f.Type
		}
	}
	maps.Copy(embedded, out) // the outer field hides the embedded one
	return embedded
}

// mismatch returns the name of what s takes when n is something else, and otherwise "".
func (s shape) mismatch(n *yaml.Node) string {
	if s.kind == nil {
		return ""
	}
	tag := n.ShortTag()
	scalar := n.Kind == yaml.ScalarNode
	fits := false
	switch name := s.name(); name {
	case "a mapping":
		fits = n.Kind == yaml.MappingNode
	case "a list":
		fits = n.Kind == yaml.SequenceNode
	case "a string":
		fits = scalar && (tag == "!!str" || tag == "!!timestamp" || tag == "!!binary")
	case "true or false":
		fits = scalar && tag == "!!bool"
	case "a whole number":
		fits = scalar && (tag == "!!int" || tag == "!!float") // scalar says which numbers fit
	case "a number":
		fits = scalar && (tag == "!!int" || tag == "!!float")
	}
	if fits {
		return ""
	}
	return s.name()
}

func (s shape) remedy(n *yaml.Node) string {
	switch name := s.name(); {
	case name == "a string" && n.Kind == yaml.ScalarNode:
		return fmt.Sprintf("put it in quotes: %q", n.Value)
	case name == "a list" && n.Kind == yaml.ScalarNode:
		return fmt.Sprintf("write [%s]", n.Value)
	case name == "a list":
		return "begin each item with a dash"
	default:
		return "write " + name
	}
}

func (s shape) name() string {
	if s.kind == nil {
		return "a finite number" // what JSON cannot hold of YAML's scalars
	}
	switch s.kind.Kind() {
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Slice, reflect.Array:
		if s.kind.Elem().Kind() == reflect.Uint8 {
			return "a string" // base64, as encoding/json has it
		}
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	case yaml.AliasNode:
		return describe(n.Alias)
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "number"
	case "!!bool":
		return "boolean"
	case "!!null":
		return "null"
	case "!!merge":
		return "merge key"
	default:
		return "string"
	}
}

// message turns err into what is wrong and what to do.
func message(err *field.Error) string {
	value := fmt.Sprint(err.BadValue)
	if s, ok := err.BadValue.(string); ok {
		value = fmt.Sprintf("%q", s)
	}
	var what string
	remedy := err.Detail
	switch err.Type {
	case field.ErrorTypeRequired:
		what = "missing"
	case field.ErrorTypeInvalid:
		what = value + " is not valid"
	case field.ErrorTypeNotSupported:
		known := strings.TrimPrefix(remedy, "supported values: ")
		if last := strings.LastIndex(known, ", "); last >= 0 {
			known = known[:last] + " or " + known[last+len(", "):]
		}
		what, remedy = value+" is not supported", "write "+known
	case field.ErrorTypeDuplicate:
		what, remedy = value+" is there twice", cmp.Or(remedy, "rename one of them")
	case field.ErrorTypeForbidden:
		what = "not allowed here"
	case field.ErrorTypeNotFound:
		what = value + " does not exist"
	default:
		return err.ErrorBody()
	}
	if remedy == "" {
		return what
	}
	return what + "; " + remedy
}

func suggest(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	if len(known) == 0 {
		return "nothing can be written here"
	}
	slices.Sort(known)
	return "write one of " + strings.Join(known, ", ")
}

// nearest returns the known name that name may be a misspelling of, or "".
func nearest(name string, known []string) string {
	best, limit := "", max(len(name)/3, 1)
	slices.Sort(known)
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return k
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= limit {
			best, limit = k, d-1
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
