package tree

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
	kyaml "sigs.k8s.io/yaml"
)

func parseYAML(text string) (*Node, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return nil, err
	}
	return FromYAML(&n)
}

func TestFromYAML(t *testing.T) {
	cases := map[string]struct{ yaml, json string }{
		"order and numbers are kept":       {"z: 9007199254740993\na: 1.0\nm: -0.0\ne: 1e3", `{"z":9007199254740993,"a":1.0,"m":-0.0,"e":1e3}`},
		"YAML 1.1 words are booleans":      {"a: yes\nb: off\nc: \"yes\"\nd: True", `{"a":true,"b":false,"c":"yes","d":true}`},
		"octal and hexadecimal as kubectl": {"mode: 0644\nx: 0x1F", `{"mode":420,"x":31}`},
		"null in its spellings":            {"a:\nb: ~\nc: null\nd: \"\"", `{"a":null,"b":null,"c":null,"d":""}`},
		"quantities and dates are text":    {"cpu: 100m\nday: 2020-01-01\nip: 10.0.0.1\nmac: 12:34", `{"cpu":"100m","day":"2020-01-01","ip":"10.0.0.1","mac":"12:34"}`},
		"anchors, aliases and merges":      {"a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, l: 3}", `{"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"l":3,"k":1}}`},
		"keys that are not strings":        {"1: a\ntrue: b", `{"1":"a","true":"b"}`},
		"block scalars":                    {"s: |\n  a\n  b\nt: >-\n  a\n  b", `{"s":"a\nb\n","t":"a b"}`},
		"explicit tags":                    {"a: !!str 1\nb: !!int \"2\"", `{"a":"1","b":2}`},
		"text is not escaped for HTML":     {"a: <b>&", `{"a":"<b>&"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := parseYAML(tc.yaml)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.json, string(n.JSON())); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromYAMLErrors(t *testing.T) {
	cases := map[string]struct {
		yaml string
		want Error
	}{
		"duplicate key":   {"a: 1\nb: 2\na: 3", Error{3, `key "a" is already set on line 1`}},
		"mapping as key":  {"a:\n  ? {b: c}\n  : 1", Error{2, "a key must be a plain value"}},
		"unknown tag":     {"a: 1\nb: !secret x", Error{2, `!secret "x" has no JSON counterpart`}},
		"merge of a text": {"a: 1\n<<: x", Error{2, `"<<" takes a mapping or a list of mappings`}},
		"alias explosion": {explosion(), Error{1, "the document is too large once its aliases are expanded"}},
		"alias of itself": {"a: &a {<<: *a}", Error{1, "the alias *a stands within what it stands for"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseYAML(tc.yaml)
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// explosion is the "billion laughs" document.
func explosion() string {
	b := strings.Builder{}
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 8 {
		prev, next := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("a" + next + ": &a" + next + " [" + strings.TrimSuffix(strings.Repeat("*a"+prev+",", 10), ",") + "]\n")
	}
	return b.String()
}

func TestParseJSONErrors(t *testing.T) {
	for name, text := range map[string]string{
		"duplicate name":    `{"a":1,"a":2}`,
		"second value":      `{} {}`,
		"cut off":           `{"a":[1,`,
		"invalid UTF-8":     "\"\xff\"",
		"nothing":           ``,
		"not a JSON number": `01`,
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := ParseJSON([]byte(text)); err == nil {
				t.Errorf("got %s, want an error", n.JSON())
			}
		})
	}
}

func TestArrange(t *testing.T) {
	like := mustJSON(t, `{"kind":"Pod","apiVersion":"v1","l":[{"name":"b","z":1,"a":2},{"name":"c","y":1,"x":2}]}`)
	got := mustJSON(t, `{"apiVersion":"v1","kind":"Pod","l":[{"a":0,"name":"new"},{"a":2,"name":"b","z":1},{"name":"c","x":2,"y":1}],"new":1}`)
	got.Arrange(like)
	want := `{"kind":"Pod","apiVersion":"v1","l":[{"name":"new","a":0},{"name":"b","z":1,"a":2},{"name":"c","y":1,"x":2}],"new":1}`
	if diff := cmp.Diff(want, string(got.JSON())); diff != "" {
		t.Errorf("arranged (-want +got):\n%s", diff)
	}
}

func TestSetAndDelete(t *testing.T) {
	n := mustJSON(t, `{"name":"web","labels":{}}`)
	n.Set("namespace", NewString("a"), "name")
	n.Set("uid", NewString("1"), "missing")
	n.Set("name", NewString("db"), "")
	n.Delete("labels")
	n.Delete("labels")
	if diff := cmp.Diff(`{"name":"db","namespace":"a","uid":"1"}`, string(n.JSON())); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}

// TestRoundTrip: whatever the value, its JSON and its YAML are read back as the same value with the
// same order, and kubectl's YAML reader sees in our YAML what a JSON reader sees in our JSON.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := anyNode(3).Draw(t, "value")
		fromJSON, err := ParseJSON(n.JSON())
		if err != nil {
			t.Fatal(err)
		}
		text, err := n.YAML()
		if err != nil {
			t.Fatal(err)
		}
		fromYAML, err := parseYAML(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for how, got := range map[string]*Node{"JSON": fromJSON, "YAML": fromYAML} {
			if diff := cmp.Diff(string(n.JSON()), string(got.JSON())); diff != "" {
				t.Fatalf("through %s (-want +got):\n%s\n%s", how, diff, text)
			}
		}
		asKubectl, err := kyaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if diff := cmp.Diff(decode(t, n.JSON()), decode(t, asKubectl)); diff != "" {
			t.Fatalf("as kubectl reads it (-want +got):\n%s\n%s", diff, text)
		}
	})
}

func anyNode(depth int) *rapid.Generator[*Node] {
	word := rapid.OneOf(rapid.String(), rapid.StringMatching(`[-+.~0-9a-zA-Z_:# <]{0,8}`),
		rapid.SampledFrom([]string{"yes", "no", "y", "N", "off", "null", "~", "0644", "0x1f", ".5", "1_000", "1e3", "2020-01-01", "12:34:56", "a\nb\n", " lead", "trail ", "<<", "=", "- x", "\t", "\u2028", "\u0085", "\x1b[31m"}))
	str := rapid.Map(word, NewString)
	literal := rapid.Map(rapid.SampledFrom([]string{"null", "true", "false", "0", "1.5", "9007199254740993", "-9223372036854775808"}),
		func(s string) *Node { return &Node{Kind: Literal, Text: s} })
	if depth == 0 {
		return rapid.OneOf(str, literal)
	}
	object := rapid.Custom(func(t *rapid.T) *Node {
		n := &Node{Kind: Object}
		for _, name := range rapid.SliceOfNDistinct(word, 0, 4, rapid.ID).Draw(t, "names") {
			n.Members = append(n.Members, Member{Name: name, Value: anyNode(depth-1).Draw(t, "member")})
		}
		return n
	})
	array := rapid.Custom(func(t *rapid.T) *Node {
		return &Node{Kind: Array, Items: rapid.SliceOfN(anyNode(depth-1), 0, 4).Draw(t, "items")}
	})
	return rapid.OneOf(str, literal, object, array)
}

func decode(t *rapid.T, data []byte) any {
	var v any
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func mustJSON(t *testing.T, text string) *Node {
	t.Helper()
	n, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
