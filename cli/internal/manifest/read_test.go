package manifest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	cases := map[string]struct {
		paths []string
		stdin string
		want  []string // "source ref"
	}{
		"documents, empty documents and lists": {
			paths: []string{"testdata/several.yaml"},
			want: []string{
				"testdata/several.yaml:3 namespace/team-a",
				"testdata/several.yaml:8 deployment.apps/web",
				"testdata/several.yaml:15 configmap/a",
				"testdata/several.yaml:15 pod/b-*",
			},
		},
		"a folder is read by name and without its subfolders": {
			paths: []string{"testdata/folder"},
			want:  []string{"testdata/folder/a.yml:1 pod/flow", "testdata/folder/b.json:1 pod/a", "testdata/folder/b.json:3 pod/b"},
		},
		"null is absent": {
			paths: []string{"-"},
			stdin: "kind: Pod\napiVersion: v1\nmetadata: {name: x, namespace: , generateName: null}\n",
			want:  []string{"stdin:1 pod/x"},
		},
		"standard input": {
			paths: []string{"-", "testdata/folder/a.yml"},
			stdin: "\ufeff\nkind: Pod\napiVersion: v1\nmetadata: {name: x}\n",
			want:  []string{"stdin:2 pod/x", "testdata/folder/a.yml:1 pod/flow"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects, err := Read(strings.NewReader(tc.stdin), tc.paths...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range objects {
				got = append(got, o.Source+" "+o.Ref())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	cases := map[string]struct {
		file, content string
		want          string
	}{
		"unclosed flow":      {"x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: [\n", "x.yaml:3: not YAML: did not find expected node content; correct the syntax at or shortly before this line"},
		"tab":                {"x.yaml", "a:\n\tb: 1\n", "x.yaml:2: not YAML: a tab in the indentation; indent with spaces"},
		"not UTF-8":          {"x.yaml", "a: b\nc: \"\xe4\"\n", "x.yaml:2: not YAML: bytes that are not UTF-8; save the file as UTF-8"},
		"a second document":  {"x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n...\nkind: Pod\n", "x.yaml:4: not YAML: did not find expected <document start>; correct the syntax at or shortly before this line"},
		"duplicate key":      {"x.yaml", "kind: Pod\napiVersion: v1\nmetadata:\n  name: a\n  name: b\n", `x.yaml:5: key "name" is already set on line 4`},
		"no kind":            {"x.yaml", "---\n\napiVersion: v1\nmetadata: {name: a}\n", "x.yaml:3: kind is missing or not a text"},
		"kind is a number":   {"x.yaml", "apiVersion: 1\nkind: Pod\n", "x.yaml:1: apiVersion is missing or not a text"},
		"a list of objects":  {"x.yaml", "- kind: Pod\n", "x.yaml:1: not an object; a manifest is a mapping with apiVersion, kind and metadata"},
		"a configuration":    {"x.yaml", "apiVersion: gatefold.dev/v1alpha1\nkind: GatewayConfig\nbackends: []\n", "x.yaml:1: GatewayConfig is for Gatefold's own programs, and no object of a cluster; leave the file out"},
		"no metadata":        {"x.yaml", "apiVersion: v1\nkind: Pod\n", "x.yaml:1: metadata is missing or not a mapping"},
		"no name":            {"x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {labels: {}}\n", "x.yaml:1: metadata.name or metadata.generateName is missing"},
		"name is a number":   {"x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n", "x.yaml:1: metadata.name is 1, not a text; put it in quotes"},
		"empty ImageReview":  {"x.yaml", "apiVersion: imagepolicy.k8s.io/v1alpha1\nkind: ImageReview\n", "x.yaml:1: spec is missing or not a mapping; an ImageReview is nothing without it"},
		"nowhere at all":     {"x.yaml", "apiVersion: imagepolicy.k8s.io/v1alpha1\nkind: ImageReview\nspec: {namespace: 1}\n", "x.yaml:1: spec.namespace is 1, not a text; put it in quotes"},
		"bad item of a list": {"x.yaml", "apiVersion: v1\nkind: List\nitems: [{kind: Pod}]\n", "x.yaml:1: apiVersion is missing or not a text (items[0] of this List)"},
		"cut off JSON":       {"x.json", "{\n\"kind\": \"Pod\",\n", "x.json:3: not valid JSON: unexpected EOF"},
		"duplicate name":     {"x.json", "{\"kind\": \"Pod\",\n\"kind\": \"Pod\"}", `x.json:2: not valid JSON: duplicate object member name at /kind`},
		"all problems of all documents": {
			"x.yaml", "kind: Pod\n---\nkind: Pod\napiVersion: v1\n",
			"x.yaml:1: apiVersion is missing or not a text\nx.yaml:3: metadata is missing or not a mapping",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects, err := Parse(tc.file, []byte(tc.content))
			if err == nil {
				t.Fatalf("no error, but %v", objects)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	empty := t.TempDir()
	_, err := Read(nil, "testdata/missing.yaml", empty)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("errors.Is(%v, os.ErrNotExist) = false", err)
	}
	want := "testdata/missing.yaml: no such file or directory\n" + empty + ": no .yaml, .yml or .json files in this folder"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// FuzzParse: whatever is read has an apiVersion, a kind and a name, and reading never panics.
func FuzzParse(f *testing.F) {
	several, err := os.ReadFile("testdata/several.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(several)
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}} {`))
	f.Add([]byte("a: &a {<<: *a}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Parse("x.yaml", data)
		if err != nil {
			return
		}
		for _, o := range objects {
			if o.APIVersion() == "" || o.Kind() == "" || o.Ref() == "" {
				t.Errorf("incomplete object %s", o.Root.JSON())
			}
		}
	})
}
