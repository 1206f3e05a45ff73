package sdk

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// describe writes operations as people read them: "add /a 1".
func describe(ops []*admissionv1.PatchOperation) string {
	var b strings.Builder
	for _, op := range ops {
		name := strings.ToLower(strings.TrimPrefix(op.GetOp().String(), "PATCH_OP_"))
		b.WriteString(strings.Join(strings.Fields(strings.Join([]string{name, op.GetFrom(), op.GetPath(), string(op.GetValue())}, " ")), " ") + "\n")
	}
	return b.String()
}

// apply applies operations with the library of kube-apiserver.
func apply(t testing.TB, raw []byte, ops []*admissionv1.PatchOperation) []byte {
	t.Helper()
	type operation struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		From  string          `json:"from,omitempty"`
		Value json.RawMessage `json:"value,omitempty"`
	}
	var list []operation
	for _, op := range ops {
		name := strings.ToLower(strings.TrimPrefix(op.GetOp().String(), "PATCH_OP_"))
		list = append(list, operation{name, op.GetPath(), op.GetFrom(), op.GetValue()})
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		t.Fatal(err)
	}
	out, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("applying %s to %s: %v", describe(ops), raw, err)
	}
	return out
}

// TestDiffPods changes corev1.Pods as testdata/diff.yaml says.
func TestDiffPods(t *testing.T) {
	data, err := os.ReadFile("testdata/diff.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string `json:"name"`
		Raw   string `json:"raw"`   // the object as it came
		After string `json:"after"` // what the author made of it
		Patch string `json:"patch"`
	}
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var changed corev1.Pod
			if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(c.After), &changed); err != nil {
				t.Fatal(err)
			}
			ops, err := diff([]byte(c.Raw), &changed)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.Patch, describe(ops)); d != "" {
				t.Errorf("patch (-want +got):\n%s", d)
			}
			apply(t, []byte(c.Raw), ops)
		})
	}
}

func TestDiffUntyped(t *testing.T) {
	raw := []byte(`{"apiVersion":"v1","kind":"Trap","max":9223372036854775807,"beyond":92233720368547758070,
		"one":1.0,"minus":-0.0,"null":null,"big":9007199254740993,"twin":1,"Twin":2,"html":"<&>","bad":"` + "\xff" + `","a/b~c":{"":[1,2]}}`)
	change := func(m map[string]any) {
		m["added"] = int64(9007199254740995)
		m["a/b~c"].(map[string]any)[""].([]any)[1] = "two"
		m["null"] = "set"
	}
	want := `replace /a~1b~0c//1 "two"
add /added 9007199254740995
replace /null "set"
`
	asMap := map[string]any{}
	asUnstructured := &unstructured.Unstructured{}
	for name, into := range map[string]any{"map": &asMap, "unstructured": asUnstructured} {
		t.Run(name, func(t *testing.T) {
			if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, into); err != nil {
				t.Fatal(err)
			}
			if ops, err := diff(raw, into); err != nil || len(ops) != 0 {
				t.Errorf("unchanged: %s, %v", describe(ops), err)
			}
			if m, ok := into.(*map[string]any); ok {
				change(*m)
				if ops, err := diff(raw, *m); err != nil || describe(ops) != want {
					t.Errorf("by value: %s, %v", describe(ops), err)
				}
			} else {
				change(asUnstructured.Object)
			}
			ops, err := diff(raw, into)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, describe(ops)); d != "" {
				t.Errorf("patch (-want +got):\n%s", d)
			}
			apply(t, raw, ops)
		})
	}
}

// versioned is a type that leaves an empty struct out, as omitzero does.
type versioned struct {
	Spec struct {
		Known string `json:"known,omitempty"`
	} `json:"spec,omitzero"`
}

func TestDiffOfWhatLooksEmpty(t *testing.T) {
	raw := []byte(`{"spec":{"future":1}}`)
	var v versioned
	v.Spec.Known = "x"
	ops, err := diff(raw, &v)
	if err != nil || describe(ops) != "add /spec/known \"x\"\n" {
		t.Errorf("got %s, %v", describe(ops), err)
	}
}

func TestDiffRefuses(t *testing.T) {
	var none *corev1.Pod
	for name, c := range map[string]struct {
		raw     string
		changed any
	}{
		"nothing":         {`{}`, nil},
		"a nil pointer":   {`{}`, none},
		"a nil map":       {`{}`, map[string]any(nil)},
		"not JSON":        {`{`, &corev1.Pod{}},
		"another type":    {`{"spec":[]}`, &corev1.Pod{}},
		"a list":          {`[]`, &[]string{}},
		"not an object":   {`"x"`, "y"},
		"not encodable":   {`{}`, &struct{ C chan int }{make(chan int)}},
		"an empty object": {``, &corev1.Pod{}},
	} {
		if ops, err := diff([]byte(c.raw), c.changed); err == nil {
			t.Errorf("%s: no error, but %s", name, describe(ops))
		}
	}
}

func TestDiffIsDeterministic(t *testing.T) {
	raw := []byte(`{"a":1,"b":[{"x":1},{"x":2}],"c":{"d":1,"e":2}}`)
	changed := map[string]any{"z": 1, "y": 2, "b": []any{map[string]any{"x": 3}, map[string]any{"x": 1}}, "c": map[string]any{"f": 1, "g": 2}}
	first, err := diff(raw, changed)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := diff(raw, changed)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, again, protocmp.Transform()); d != "" {
			t.Fatalf("another patch:\n%s", d)
		}
	}
}

// FuzzDiff takes two arbitrary objects as before and after.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,3]}`), []byte(`{"a":[3,1]}`))
	f.Add([]byte(`{"l":[{"name":"a","x":1},{"name":"b"}]}`), []byte(`{"l":[{"name":"b"},{"name":"a","x":2},{"name":"c"}]}`))
	f.Add([]byte(`{"a/b":{"~":null},"":1.0}`), []byte(`{"a/b":{"~":{}},"n":1e21}`))
	f.Add([]byte(`{"l":[1,1,2,{}]}`), []byte(`{"l":[[],1,{},1]}`))
	f.Fuzz(func(t *testing.T, raw, after []byte) {
		var before, changed map[string]any
		if kjson.UnmarshalCaseSensitivePreserveInts(raw, &before) != nil || before == nil {
			return
		}
		if kjson.UnmarshalCaseSensitivePreserveInts(after, &changed) != nil || changed == nil {
			return
		}
		if _, ok := before["apiVersion"]; ok { // never removed
			return
		}
		if _, ok := before["kind"]; ok {
			return
		}
		ops, err := diff(raw, changed)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(apply(t, raw, ops), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(encode(t, changed), encode(t, got)); d != "" {
			t.Errorf("patch %s (-want +got):\n%s", describe(ops), d)
		}
	})
}

func encode(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
