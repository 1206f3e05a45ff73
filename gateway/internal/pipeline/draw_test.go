package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// What random folds are made of. There is little of each, so that mutators meet.
var (
	labels  = []string{"in", "k8s.io/x"}
	objects = []string{"/metadata/labels", "/metadata/annotations", "/o", "/o/x", "/o/x~1y"}
	lists   = []string{"/l", "/k", "/o/l"}
	keys    = []string{"in", "k8s.io/x", "a", "e~f", ""}
	ids     = []string{"e0", "e1", "e2"}
	values  = []string{"1", "2", "3"}
)

func drawObject(t *rapid.T) json.RawMessage {
	strings := func(name string) map[string]any {
		out := map[string]any{}
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 3, rapid.ID).Draw(t, name) {
			out[key] = rapid.SampledFrom(values).Draw(t, key)
		}
		return out
	}
	list := func(name string) []any {
		out := []any{}
		for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 0, 3, rapid.ID).Draw(t, name) {
			element := strings(id)
			element["id"] = id
			out = append(out, element)
		}
		return out
	}
	maybe := func(in map[string]any, name string, value func(string) any) {
		if rapid.Bool().Draw(t, "has "+name) {
			in[name] = value(name)
		}
	}
	asStrings := func(name string) any { return strings(name) }
	asList := func(name string) any { return list(name) }
	object := map[string]any{"kind": "Thing", "metadata": map[string]any{"name": "x"}}
	maybe(object["metadata"].(map[string]any), "labels", asStrings)
	maybe(object["metadata"].(map[string]any), "annotations", asStrings)
	maybe(object, "l", asList)
	maybe(object, "k", asList)
	maybe(object, "o", func(string) any {
		n := map[string]any{}
		maybe(n, "x", asStrings)
		maybe(n, "l", asList)
		return n
	})
	return encode(object)
}

func drawScript(t *rapid.T, name string) *script {
	s := &script{Name: name, Ignore: rapid.Bool().Draw(t, "ignore")}
	all := rapid.IntRange(0, 2).Draw(t, "observes") == 0
	rarely := func(what string, draw func() string) string {
		if rapid.IntRange(0, 5).Draw(t, what) > 0 {
			return ""
		}
		return draw()
	}
	s.Match = rarely("match", func() string { return rapid.SampledFrom(labels).Draw(t, "label") })
	s.Deny = rarely("deny", func() string { return drawPlace(t) })
	s.Fail = rarely("fail", func() string { return drawPlace(t) })
	for i := range rapid.IntRange(1, 4).Draw(t, "edits") {
		s.Edits = append(s.Edits, drawEdit(t, fmt.Sprintf("%s-%d", name, i), all))
	}
	if !all {
		s.Observes = s.places()
		for range rapid.IntRange(0, 1).Draw(t, "more") {
			s.Observes = append(s.Observes, drawPlace(t))
		}
		if len(s.Observes) == 0 {
			s.Observes = []string{"/nothing"}
		}
	}
	return s
}

func drawPlace(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom(objects), rapid.SampledFrom(lists),
		rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom(objects).Draw(t, "in") + "/" + pointerToken(rapid.SampledFrom(keys).Draw(t, "key"))
		}),
		rapid.SampledFrom([]string{"/l/*/id", "/k/*/a", "/o/l/*", "/l/0/a", "/k/1", "/o/*"}),
	).Draw(t, "place")
}

func drawEdit(t *rapid.T, id string, all bool) edit {
	kinds := []string{"set", "set", "ensure", "drop", "append", "prepend", "before", "removeElement", "setIn", "setEach", "moveMember", "moveLast", "copyTo", "replaceIn"}
	if all { // these rely on all there is
		kinds = append(kinds, "clear", "reverse", "rotate", "copy", "null", "spoil")
	}
	e := edit{
		Do: rapid.SampledFrom(kinds).Draw(t, "do"), Key: rapid.SampledFrom(keys).Draw(t, "key"),
		Value: rapid.SampledFrom(values).Draw(t, "value"), Whole: rapid.Bool().Draw(t, "whole"),
	}
	if rapid.IntRange(0, 2).Draw(t, "if") == 0 {
		e.If = drawPlace(t)
	}
	if rapid.IntRange(0, 2).Draw(t, "from") == 0 {
		e.From = drawPlace(t)
	}
	switch e.Do {
	case "set", "ensure", "drop", "copy", "moveMember", "null":
		e.At = rapid.SampledFrom(objects).Draw(t, "at")
	case "clear":
		e.At = rapid.SampledFrom(append(slices.Clone(objects), lists...)).Draw(t, "at")
	default:
		e.At = rapid.SampledFrom(lists).Draw(t, "at")
	}
	switch e.Do {
	case "copy":
		e.From = rapid.SampledFrom([]string{"/l/0", "/k", "/o/x", "/metadata/labels/in"}).Draw(t, "from")
	case "before":
		e.Key = id
		fallthrough
	case "removeElement", "setIn", "moveLast", "copyTo", "replaceIn":
		e.ID = rapid.SampledFrom(ids).Draw(t, "id")
	default:
		e.ID = id
	}
	return e
}
