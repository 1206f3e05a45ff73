package casetest

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatefold/gatefold/cli/internal/tree"
)

// FuzzLookUp looks for pointers that find something else than what is there: each value has one pointer only.
func FuzzLookUp(f *testing.F) {
	for _, pointer := range []string{"", "/", "/a", "/a/0/b~1c", "/a/00", "/a/-", "/a/1", "/~0", "/d/x", "/a/18446744073709551616"} {
		f.Add(pointer)
	}
	root, err := tree.ParseJSON([]byte(`{"":1,"a":[{"b/c":2},null],"~":{},"d":"text"}`))
	if err != nil {
		f.Fatal(err)
	}
	places := map[string]*tree.Node{}
	var add func(at jsontext.Pointer, n *tree.Node)
	add = func(at jsontext.Pointer, n *tree.Node) {
		places[string(at)] = n
		for _, m := range n.Members {
			add(at.AppendToken(m.Name), m.Value)
		}
		for i, item := range n.Items {
			add(at.AppendToken(string(rune('0'+i))), item)
		}
	}
	add("", root)
	f.Fuzz(func(t *testing.T, pointer string) {
		if !jsontext.Pointer(pointer).IsValid() {
			return
		}
		got, none := lookUp(root, jsontext.Pointer(pointer))
		if got != places[pointer] || (got == nil) != (strings.TrimSpace(none) != "") {
			t.Errorf("%q is %v, %q", pointer, got, none)
		}
	})
}
