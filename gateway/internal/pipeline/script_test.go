package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// script is a mutator that a test can draw, print and read again: a pure function of the object. With
// Observes it keeps the promise that goes with them: where those places are the same, it makes the same
// change, to the same members and elements, however the rest has changed.
type script struct {
	Name     string   `json:"name"`
	Observes []string `json:"observes,omitempty"` // none: everything
	Ignore   bool     `json:"ignore,omitempty"`
	// Match is a label that an object must have to concern the mutator.
	Match string `json:"match,omitempty"`
	// Deny and Fail are places: the mutator refuses or fails when what is there is odd.
	Deny  string `json:"deny,omitempty"`
	Fail  string `json:"fail,omitempty"`
	Edits []edit `json:"edits"`
}

// edit is one change that a script makes.
type edit struct {
	Do string `json:"do"`
	// If is a place: the edit is made only when what is there is even.
	If string `json:"if,omitempty"`
	// At is an object or a list.
	At string `json:"at,omitempty"`
	// Key is a member of At, or of an element of it.
	Key string `json:"key,omitempty"`
	// ID is that of the element that is meant, or of the new one.
	ID    string `json:"id,omitempty"`
	Value string `json:"value,omitempty"`
	// From is a place of which the value is made.
	From string `json:"from,omitempty"`
	// Whole writes what is missing on the way in one operation, and counts in indices where "-" would do.
	Whole bool `json:"whole,omitempty"`
}

// places are what the script looks at, in the order of its edits.
func (s *script) places() []string {
	out := []string{s.Deny, s.Fail}
	for _, e := range s.Edits {
		out = append(out, e.If, e.From)
		switch e.Do {
		case "ensure", "drop", "moveMember": // look before they write
			out = append(out, e.At+"/"+pointerToken(e.Key))
		case "clear":
			out = append(out, e.At)
		case "setEach":
			out = append(out, e.At+"/*/"+pointerToken(e.Key))
		}
	}
	out = slices.DeleteFunc(out, func(p string) bool { return p == "" })
	slices.Sort(out)
	return slices.Compact(out)
}

// Mutate implements Mutator.
func (s *script) Mutate(_ context.Context, req *admissionv1.MutateRequest) (*admissionv1.MutateResponse, string, error) {
	w := &writing{tree: parseTree(req.GetRequest().GetObject()), came: parseTree(req.GetRequest().GetObject())}
	if s.Fail != "" && w.odd(s.Fail) {
		return nil, "", errors.New("odd")
	}
	if s.Deny != "" && w.odd(s.Deny) {
		return &admissionv1.MutateResponse{Denial: &admissionv1.Denial{Message: "odd"}}, "", nil
	}
	for _, e := range s.Edits {
		if e.If == "" || !w.odd(e.If) {
			w.edit(e)
		}
	}
	return &admissionv1.MutateResponse{Operations: w.ops}, "", nil
}

// writing is an object that is being changed, and the operations that change it.
type writing struct {
	came any // as it was: what a script observes is the object that it is asked about
	tree any
	ops  []*admissionv1.PatchOperation
}

func parseTree(data []byte) any {
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out
}

func (w *writing) edit(e edit) {
	value := any(e.Value)
	if e.From != "" {
		value = fmt.Sprintf("%s-%d", e.Value, w.hash(e.From)%7)
	}
	at := split(e.At)
	list, isList := get(w.tree, at).([]any)
	element := slices.IndexFunc(list, func(v any) bool {
		m, ok := v.(map[string]any)
		return ok && m["id"] == e.ID
	})
	index := fmt.Sprint(element)
	added := map[string]any{"id": e.ID, "v": e.Value}
	switch e.Do {
	case "set":
		w.reach(at, e.Whole, map[string]any{e.Key: value}, func() { w.add(join(at, e.Key), value) })
	case "ensure":
		if get(w.tree, join(at, e.Key)) != value {
			w.reach(at, e.Whole, map[string]any{e.Key: value}, func() { w.add(join(at, e.Key), value) })
		}
	case "drop":
		if get(w.tree, join(at, e.Key)) != nil {
			w.remove(join(at, e.Key))
		}
	case "clear":
		if get(w.tree, at) != nil {
			w.remove(at)
		}
	case "append":
		last := "-"
		if e.Whole {
			last = fmt.Sprint(len(list))
		}
		w.reach(at, e.Whole, []any{added}, func() { w.add(join(at, last), added) })
	case "prepend":
		w.reach(at, e.Whole, []any{added}, func() { w.add(join(at, "0"), added) })
	case "before":
		if element >= 0 {
			w.add(join(at, index), map[string]any{"id": e.Key, "v": e.Value})
		}
	case "removeElement":
		if element >= 0 {
			w.remove(join(at, index))
		}
	case "setIn":
		if element >= 0 {
			w.add(join(at, index, e.Key), value)
		}
	case "setEach":
		for i := range list {
			w.add(join(at, fmt.Sprint(i), e.Key), value)
		}
	case "moveMember":
		v := get(w.tree, join(at, e.Key))
		if v != nil && e.Key != "moved" {
			w.do(admissionv1.PatchOp_PATCH_OP_MOVE, join(at, "moved"), pointer(join(at, e.Key)), nil)
			w.tree = update(w.tree, at, func(h any) any { m := h.(map[string]any); delete(m, e.Key); m["moved"] = v; return m })
		}
	case "moveLast":
		if element >= 0 {
			w.do(admissionv1.PatchOp_PATCH_OP_MOVE, join(at, "-"), pointer(join(at, index)), nil)
			w.tree = update(w.tree, at, func(any) any {
				x := list[element]
				return append(slices.Delete(slices.Clone(list), element, element+1), x)
			})
			if e.Whole {
				w.add(join(at, fmt.Sprint(len(list)-1), e.Key), value)
			}
		}
	case "copyTo":
		if _, ok := get(w.tree, split("/metadata")).(map[string]any); ok && element >= 0 {
			w.do(admissionv1.PatchOp_PATCH_OP_COPY, []string{"copied"}, pointer(join(at, index)), nil)
			x := clone(list[element])
			w.tree.(map[string]any)["copied"] = x
			w.add([]string{"copied", e.Key}, value)
		}
	case "replaceIn":
		if element >= 0 {
			if e.Whole {
				w.do(admissionv1.PatchOp_PATCH_OP_TEST, join(at, index), "", list[element])
			}
			w.do(admissionv1.PatchOp_PATCH_OP_REPLACE, join(at, index), "", added)
			w.tree = update(w.tree, at, func(any) any { l := slices.Clone(list); l[element] = clone(added); return l })
		}
	case "null": // sets, copies and removes a null, which kube-apiserver's library takes for nothing at times
		w.reach(at, e.Whole, map[string]any{e.Key: "x"}, func() {
			w.ops = append(w.ops,
				&admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: pointer(join(at, e.Key)), Value: []byte("null")},
				&admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_COPY, Path: pointer(join(at, e.Key+"2")), From: pointer(join(at, e.Key))},
				&admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: pointer(join(at, e.Key))})
			w.tree = update(w.tree, at, func(h any) any {
				if m, ok := h.(map[string]any); ok { // else the patch will not apply
					delete(m, e.Key)
					m[e.Key+"2"] = nil
				}
				return h
			})
		})
	case "spoil": // after this the object cannot be decoded
		w.add([]string{"metadata", "labels"}, 5)
	case "reverse":
		if isList {
			reversed := slices.Clone(list)
			slices.Reverse(reversed)
			w.do(admissionv1.PatchOp_PATCH_OP_REPLACE, at, "", reversed)
			w.tree = update(w.tree, at, func(any) any { return reversed })
		}
	case "rotate":
		if len(list) > 1 {
			w.do(admissionv1.PatchOp_PATCH_OP_MOVE, join(at, "-"), pointer(join(at, "0")), nil)
			w.tree = update(w.tree, at, func(any) any { return append(slices.Clone(list[1:]), list[0]) })
		}
	case "copy":
		if from := get(w.tree, split(e.From)); from != nil {
			if _, ok := get(w.tree, at).(map[string]any); ok {
				w.do(admissionv1.PatchOp_PATCH_OP_TEST, split(e.From), "", from)
				w.do(admissionv1.PatchOp_PATCH_OP_COPY, join(at, e.Key), e.From, nil)
				w.tree = update(w.tree, at, func(v any) any { v.(map[string]any)[e.Key] = clone(from); return v })
			}
		}
	default:
		panic("no such edit: " + e.Do)
	}
}

// reach makes sure that there is something at the place, and calls last if there was.
func (w *writing) reach(at []string, whole bool, leaf any, last func()) {
	for i := range at {
		if get(w.tree, at[:i+1]) != nil {
			continue
		}
		if whole {
			value := leaf
			for _, token := range slices.Backward(at[i+1:]) {
				value = map[string]any{token: value}
			}
			w.add(at[:i+1], value)
			return
		}
		if _, isList := leaf.([]any); isList && i == len(at)-1 {
			w.add(at[:i+1], []any{})
		} else {
			w.add(at[:i+1], map[string]any{})
		}
	}
	last()
}

func (w *writing) add(path []string, value any) {
	w.do(admissionv1.PatchOp_PATCH_OP_ADD, path, "", value)
	last := path[len(path)-1]
	w.tree = update(w.tree, path[:len(path)-1], func(holder any) any {
		switch h := holder.(type) {
		case map[string]any:
			h[last] = clone(value)
			return h
		case []any:
			i := len(h)
			if last != "-" {
				_, _ = fmt.Sscan(last, &i)
			}
			return slices.Insert(slices.Clone(h), i, clone(value))
		default:
			return holder // the patch will not apply
		}
	})
}

func (w *writing) remove(path []string) {
	w.do(admissionv1.PatchOp_PATCH_OP_REMOVE, path, "", nil)
	last := path[len(path)-1]
	w.tree = update(w.tree, path[:len(path)-1], func(holder any) any {
		if h, ok := holder.(map[string]any); ok {
			delete(h, last)
			return h
		}
		h := holder.([]any)
		i := 0
		_, _ = fmt.Sscan(last, &i)
		return slices.Delete(slices.Clone(h), i, i+1)
	})
}

func (w *writing) do(op admissionv1.PatchOp, path []string, from string, value any) {
	out := &admissionv1.PatchOperation{Op: op, Path: pointer(path), From: from}
	if value != nil {
		out.Value = encode(value)
	}
	w.ops = append(w.ops, out)
}

func (w *writing) odd(place string) bool { return w.hash(place)%2 == 1 }

// hash is of what the script sees at a place, "*" included.
func (w *writing) hash(place string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(encode(project(w.came, split(place))))
	return h.Sum32() >> 3 // the lowest bits of FNV follow the last byte alone
}

func project(v any, place []string) any {
	if len(place) == 0 {
		return v
	}
	switch h := v.(type) {
	case map[string]any:
		if place[0] != "*" {
			return project(h[place[0]], place[1:])
		}
		out := map[string]any{}
		for k, m := range h {
			out[k] = project(m, place[1:])
		}
		if len(out) == 0 {
			return nil // whether there is an object without members is not looked at
		}
		return out
	case []any:
		if place[0] != "*" {
			return project(get(v, place[:1]), place[1:])
		}
		var out []any
		for _, e := range h {
			out = append(out, project(e, place[1:]))
		}
		return out
	default:
		return nil
	}
}

func get(v any, path []string) any {
	for _, token := range path {
		switch h := v.(type) {
		case map[string]any:
			v = h[token]
		case []any:
			i := -1
			if _, err := fmt.Sscan(token, &i); err != nil || i < 0 || i >= len(h) {
				return nil
			}
			v = h[i]
		default:
			return nil
		}
	}
	return v
}

func update(v any, path []string, change func(any) any) any {
	if len(path) == 0 {
		return change(v)
	}
	switch h := v.(type) {
	case map[string]any:
		h[path[0]] = update(h[path[0]], path[1:], change)
	case []any:
		i := 0
		_, _ = fmt.Sscan(path[0], &i)
		h[i] = update(h[i], path[1:], change)
	}
	return v
}

func clone(v any) any { return parseTree(encode(v)) }

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func join(path []string, more ...string) []string { return append(slices.Clone(path), more...) }

func pointerToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

func pointer(path []string) string {
	var b strings.Builder
	for _, token := range path {
		b.WriteString("/" + pointerToken(token))
	}
	return b.String()
}

func split(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts
}
