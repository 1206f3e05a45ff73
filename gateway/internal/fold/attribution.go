package fold

import (
	"slices"
	"strconv"
)

// overrule notes which values of other mutators are lost when v takes the place of old; either may be nil.
func (e *editor) overrule(path string, old, v *value) {
	if old == nil {
		return
	}
	theirs := old.by != 0 && old.by != e.by
	held, edited := e.now.edited[old]
	if !edited {
		held = old.parts // nobody has changed what nobody has looked into
	}
	if theirs && held.form == scalar {
		held = e.now.held(old)
	}
	switch held.form {
	case object:
		next := e.now.held(v)
		for _, m := range held.members {
			e.overrule(path+"/"+escape(m.name), m.value, next.at(m.name))
		}
	case array:
		e.overruleList(path, held.elements, v)
	default:
		if theirs && (v == nil || v.raw != old.raw) {
			e.change.Overruled = append(e.change.Overruled, Overruled{Field: path, By: old.by})
		}
	}
}

// overruleList is overrule for the elements of a list, which are kept where v has one that looks the same.
func (e *editor) overruleList(path string, elements []*value, v *value) {
	var kept map[string]*value
	for i, element := range elements {
		if element.by == 0 && element.parts.form == scalar {
			continue // it came with the object, and nobody has changed it
		}
		if kept == nil {
			kept = map[string]*value{}
			for _, next := range e.now.held(v).elements {
				kept[next.raw] = next
			}
		}
		e.overrule(path+"/"+strconv.Itoa(i), element, kept[string(e.now.append(nil, element))])
	}
}

const (
	// maxFields is how many fields of one backend are told.
	maxFields = 16
	// maxChangesBytes is about how long the changes of all of them may be. An audit event is one line of a log,
	// and some sinks cut lines.
	maxChangesBytes = 4 << 10
)

// Changes says who changed what, as a JSON object with an array of JSON pointers for each backend, in the order
// of their turns: {"labels":["/metadata/labels/team"],"identity":["/spec/volumes/0"]}. "" when nobody changed
// anything. What is left out is counted in a last element "+12".
//
// It is the same for the same changes, whenever they are made: kube-apiserver keeps the first value of an audit
// annotation when it calls the gate again for the same object, and drops another one
// (k8s.io/apiserver/pkg/admission/attributes.go, AddAnnotation).
func Changes(parts []*Part) string {
	var out []byte
	for _, part := range parts {
		if len(part.Fields) == 0 {
			continue
		}
		separator := byte(',')
		if out == nil {
			separator = '{'
		}
		out = append(append(append(out, separator), quote(part.Backend)...), ':', '[')
		for _, field := range Few(part.Fields, maxChangesBytes-len(out)) {
			out = append(append(out, quote(field)...), ',')
		}
		out[len(out)-1] = ']'
	}
	if out == nil {
		return ""
	}
	return string(append(out, '}'))
}

// Few returns the first sixteen of fields, or those of so many bytes, and how many there are beside them, as "+12".
// Audit logs, spans and log lines have room for no more: an object may have as many fields as its author likes.
func Few(fields []string, room int) []string {
	for i, field := range fields {
		if room -= len(field); i == maxFields || room < 0 {
			return append(slices.Clone(fields[:i]), "+"+strconv.Itoa(len(fields)-i))
		}
	}
	return fields
}
