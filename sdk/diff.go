package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	kjson "sigs.k8s.io/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// diff returns the operations that carry an author's change over to raw, the object as it came; none
// when nothing was changed. changed is what Request.Decode filled, changed since: a pointer to a Go type,
// or a map.
//
// raw is decoded once more into the same type, and only where that and changed differ is anything done:
// what the type does not know, or would write differently (a null, 1.0, an integer beyond int64), is
// never named by an operation. A value that the author takes away takes along what is in it, though.
func diff(raw []byte, changed any) ([]*admissionv1.PatchOperation, error) {
	value := reflect.ValueOf(changed)
	if !value.IsValid() || (value.Kind() == reflect.Pointer || value.Kind() == reflect.Map) && value.IsNil() {
		return nil, errors.New("the changed object is nil")
	}
	fresh := reflect.New(reflect.Indirect(value).Type()).Interface()
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, fresh); err != nil {
		return nil, fmt.Errorf("decoding the object into %T: %w", changed, err)
	}
	before, err := json.Marshal(fresh)
	if err != nil {
		return nil, fmt.Errorf("encoding the object: %w", err)
	}
	after, err := json.Marshal(changed)
	if err != nil {
		return nil, fmt.Errorf("encoding the changed object: %w", err)
	}
	raw = bytes.TrimSpace(raw)
	if !isObject(raw) || !isObject(after) {
		return nil, fmt.Errorf("%T is not a JSON object", changed)
	}

	var d differ
	d.value("", raw, before, after)
	return d.patch.Operations()
}

// differ collects the operations of one diff. In its methods, raw is what came, before is what the
// author's type saw of it, and after is what the author made of that. The latter two are written by the
// same encoder without white space, so equal bytes are equal values.
type differ struct {
	patch Patch
}

// value goes down to where before and after differ.
func (d *differ) value(path string, raw, before, after json.RawMessage) {
	switch {
	case bytes.Equal(before, after):
	case isObject(before) && isObject(after) && isObject(raw):
		d.object(path, raw, before, after)
	case isObject(before) && isObject(after): // a null that the type took for an empty object
		d.patch.Replace(path, d.added(before, after))
	case isList(before) && isList(after) && isList(raw):
		d.list(path, raw, before, after)
	default:
		d.patch.Replace(path, after)
	}
}

func (d *differ) object(path string, raw, before, after json.RawMessage) {
	r, b, a := d.members(raw), d.members(before), d.members(after)
	for _, key := range keys(b, a) {
		at := path + Pointer(key)
		_, inRaw := r[key]
		_, inBefore := b[key]
		_, inAfter := a[key]
		switch {
		case bytes.Equal(b[key], a[key]):
		case !inAfter && !inRaw: // the encoder's own addition, gone again
		case !inAfter:
			if path != "" || key != "apiVersion" && key != "kind" { // typed objects often come without
				d.patch.Remove(at)
			}
		case !inRaw:
			d.patch.Add(at, d.added(b[key], a[key]))
		case !inBefore && isObject(r[key]) && isObject(a[key]):
			// To the type it was empty, hence left out; in raw it may hold what the type does not know.
			d.object(at, r[key], json.RawMessage("{}"), a[key])
		default:
			d.value(at, r[key], b[key], a[key])
		}
	}
}

// added returns what is in after but not in before, for a place where raw has nothing: of an object that
// only the encoder wrote, such as "resources": {}, not the whole is the author's.
func (d *differ) added(before, after json.RawMessage) json.RawMessage {
	if !isObject(before) || !isObject(after) {
		return after
	}
	b, a := d.members(before), d.members(after)
	for key, value := range a {
		if bytes.Equal(b[key], value) {
			delete(a, key)
		} else {
			a[key] = d.added(b[key], value)
		}
	}
	out, err := json.Marshal(a)
	d.fail(err)
	return out
}

func (d *differ) list(path string, raw, before, after json.RawMessage) {
	r, b, a := d.items(raw), d.items(before), d.items(after)
	if len(r) != len(b) { // a type that decodes itself: nothing is known of its elements
		d.patch.Replace(path, after)
		return
	}
	from := d.match(b, a)
	at := func(i int) string { return path + "/" + strconv.Itoa(i) }

	kept := make([]bool, len(r))
	for _, i := range from {
		if i >= 0 {
			kept[i] = true
		}
	}
	var current []int // the list as the operations so far leave it, in indices of raw; -1: a new element
	for i := range r {
		if kept[i] {
			current = append(current, i)
		}
	}
	for i, keep := range slices.Backward(kept) { // from the end, so that no removal shifts the next
		if !keep {
			d.patch.Remove(at(i))
		}
	}
	for j, i := range from { // everything before j is in its final place
		if i < 0 {
			to := at(j)
			if j == len(current) { // so that the gate need not ask again when others have appended too
				to = path + "/-"
			}
			d.patch.Add(to, a[j])
			current = slices.Insert(current, j, i)
			continue
		}
		if now := j + slices.Index(current[j:], i); now != j {
			d.patch.move(at(now), at(j))
			current = slices.Insert(slices.Delete(current, now, now+1), j, i)
		}
		d.value(at(j), r[i], b[i], a[j])
	}
}

func (d *differ) members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	d.fail(json.Unmarshal(raw, &m))
	return m
}

func (d *differ) items(raw json.RawMessage) []json.RawMessage {
	var l []json.RawMessage
	d.fail(json.Unmarshal(raw, &l))
	return l
}

// fail keeps the first error. There is none to be expected: everything was decoded or encoded before.
func (d *differ) fail(err error) {
	if err != nil && d.patch.err == nil {
		d.patch.err = fmt.Errorf("comparing the changed object: %w", err)
	}
}

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

func isList(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '[' }

// keys returns the keys of both in order, so that the same change always makes the same patch.
func keys(b, a map[string]json.RawMessage) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(b)), maps.Keys(a))
	slices.Sort(all)
	return slices.Compact(all)
}
