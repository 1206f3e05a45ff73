package stream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/stream"
)

// TestRead reads files as people have them. Every object is found, with its lines, or what hides it is told: a policy
// or a namespace that is dropped without a word is not in force.
func TestRead(t *testing.T) {
	type read struct {
		Name  string `json:"name"`
		Text  string `json:"text"`
		Bytes []byte `json:"bytes"` // in base64, where it is no text
		Want  string `json:"want"`
	}
	sdktest.Cases(t, "testdata/read/*.yaml", func(t *testing.T, tc read) {
		var got strings.Builder
		for _, d := range stream.Split(append(tc.Bytes, tc.Text...)) {
			raw, root, problems := d.Read("f.yaml")
			if root != nil {
				fmt.Fprintf(&got, "f.yaml:%d: %s, data.here at %d\n", root.Line, name(t, raw), member(member(root, "data"), "here").Line)
			}
			for _, p := range problems {
				fmt.Fprintln(&got, p.Error())
			}
		}
		if diff := cmp.Diff(tc.Want, got.String()); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	})
}

func name(t *testing.T, raw []byte) string {
	t.Helper()
	var object struct {
		Metadata struct{ Name string }
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	return object.Metadata.Name
}

func member(node *yamlv3.Node, key string) *yamlv3.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return &yamlv3.Node{}
}

// FuzzRead: what is read stands at lines that there are, and is JSON.
func FuzzRead(f *testing.F) {
	f.Add([]byte("a: 1\n---\n{\"b\": 2}{}\n...\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := 1 + bytes.Count(data, []byte("\n"))
		for _, d := range stream.Split(data) {
			if d.Line < 1 || d.Line > lines {
				t.Errorf("line %d of %d", d.Line, lines)
			}
			raw, root, problems := d.Read("f")
			if root != nil && (len(problems) > 0 || !json.Valid(raw)) {
				t.Errorf("%q, %v", raw, problems)
			}
		}
	})
}
