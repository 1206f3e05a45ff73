package fold

import "strconv"

// What Changes lists at most. An audit event is one line of a log, and some sinks cut lines.
const (
	maxFields       = 16 // of one backend
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
		for i, field := range part.Fields {
			text := quote(field)
			if i == maxFields || len(out)+len(text) > maxChangesBytes {
				out = append(out, quote("+"+strconv.Itoa(len(part.Fields)-i))...)
				out = append(out, ',')
				break
			}
			out = append(append(out, text...), ',')
		}
		out[len(out)-1] = ']'
	}
	if out == nil {
		return ""
	}
	return string(append(out, '}'))
}
