package casetest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func TestSame(t *testing.T) {
	cases := map[string]struct {
		want, got []string
		same      bool
	}{
		"the same":              {[]string{"a", "b"}, []string{"b", "a"}, true},
		"ends":                  {[]string{"a", "b"}, []string{"x: y: a", "y: b"}, true},
		"an end within a word":  {[]string{"a"}, []string{"x:a"}, false},
		"an end after a colon":  {[]string{"y: a"}, []string{"x: y: a"}, true},
		"one for two":           {[]string{"a"}, []string{"a", "a"}, false},
		"two for one":           {[]string{"a", "a"}, []string{"a", "b"}, false},
		"the longer one first":  {[]string{"a", "x: a"}, []string{"x: a", "y: a"}, true},
		"nothing":               {[]string{}, nil, true},
		"the beginning is none": {[]string{"x"}, []string{"x: a"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := same(tc.want, tc.got); got != tc.same {
				t.Errorf("%q and %q: %v", tc.want, tc.got, got)
			}
		})
	}
}

// An annotation is not taken for another one whose key ends like it: the case would pass for the wrong one.
func TestAnnotation(t *testing.T) {
	all := map[string]string{"policy.p_example.com": "1", "policy.p_team.name": "2", "changes": "3"}
	for key, want := range map[string]string{
		"policy.p_example.com": "1", "p/example.com": "1", "p_example.com": "1", "p/team.name": "2", "changes": "3", "com": "", "name": "", "p/team": "",
	} {
		if got, there := annotation(all, key); got != want || there != (want != "") {
			t.Errorf("%s: %q, %v; want %q", key, got, there, want)
		}
	}
}

func TestEqual(t *testing.T) {
	cases := map[string]struct {
		a, b  string
		equal bool
	}{
		"order of members":     {`{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		"order of items":       {`[1,2]`, `[2,1]`, false},
		"another member":       {`{"a":1}`, `{"b":1}`, false},
		"null is not absent":   {`{"a":null}`, `{}`, false},
		"null and null":        {`{"a":null}`, `{"b":null}`, false},
		"large numbers":        {`9007199254740993`, `9007199254740992`, false},
		"a fraction of zero":   {`10`, `10.0`, true},
		"an exponent":          {`1000`, `1E+3`, true},
		"a small number":       {`0.00120`, `12e-4`, true},
		"minus zero":           {`-0`, `0.0`, true},
		"a sign":               {`-1`, `1`, false},
		"a huge exponent":      {`1e99999999999`, `1e99999999998`, false},
		"a number and a text":  {`1`, `"1"`, false},
		"true and a text":      {`true`, `"true"`, false},
		"texts like numbers":   {`"1.0"`, `"1"`, false},
		"true and false":       {`true`, `false`, false},
		"an object and a list": {`{}`, `[]`, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, errA := tree.ParseJSON([]byte(tc.a))
			b, errB := tree.ParseJSON([]byte(tc.b))
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if equal(a, b) != tc.equal || equal(b, a) != tc.equal {
				t.Errorf("%s and %s: %v", tc.a, tc.b, !tc.equal)
			}
		})
	}
}

// TestInPlace writes objects and reads them again: each value must stand in the line in which it was.
func TestInPlace(t *testing.T) {
	files, err := filepath.Glob(library + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := manifest.Parse(file, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			again, err := manifest.Parse(strings.TrimSuffix(file, ".yaml"), inPlace(o))
			if err != nil || len(again) != 1 {
				t.Fatalf("%s: %d objects, %v", o.Source, len(again), err)
			}
			if diff := cmp.Diff(string(o.Root.JSON()), string(again[0].Root.JSON())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", o.Source, diff)
			}
			var node yaml.Node
			if err := yaml.Unmarshal(inPlace(o), &node); err != nil {
				t.Fatal(err)
			}
			n, err := tree.FromYAML(&node)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(lines(o.Root), lines(n)); diff != "" {
				t.Errorf("lines of %s (-want +got):\n%s", o.Source, diff)
			}
		}
	}
}

// lines are the lines of all names and values, in order. A mapping begins at its brace, which stands beside the
// name where the author began a line; so only the others are told.
func lines(n *tree.Node) []int {
	var all []int
	for _, m := range n.Members {
		all = append(append(all, m.Line), lines(m.Value)...)
	}
	for _, item := range n.Items {
		all = append(all, lines(item)...)
	}
	if n.Kind == tree.String || n.Kind == tree.Literal {
		all = append(all, n.Line)
	}
	return all
}

// FuzzParse looks for test files that make the reader panic, or say something useless.
func FuzzParse(f *testing.F) {
	sdktest.Seeds(f, "../command/testdata/test/*/*_test.*", library+"/tests/*.yaml")
	f.Add([]byte("--- a\n---\n"))
	f.Add([]byte("kind: Test\ncases: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, problems := parse("f_test.yaml", data)
		for _, p := range problems {
			if p.Line < 1 || p.Line > 1+bytes.Count(data, []byte("\n")) || p.Message == "" {
				t.Fatalf("bad problem: %+v", p)
			}
		}
		if len(docs) == 0 && len(problems) == 0 {
			t.Fatal("no documents, and no problem")
		}
		for _, d := range docs {
			for i := range d.Cases {
				for name, s := range map[string]*Source{"object": d.Cases[i].Object, "oldObject": d.Cases[i].OldObject} {
					if s != nil && d.at("cases", i, name) == nil {
						t.Fatalf("case %d has lost its %s", i, name)
					}
				}
			}
		}
	})
}
