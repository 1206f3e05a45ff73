package fold

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// TestVerify is about what kube-apiserver would answer with 500 whatever the failure policy, and who is to blame.
func TestVerify(t *testing.T) {
	const pod = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"},"spec":{"containers":[{"name":"a","image":"a"}],"x":null}}`
	html := `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","labels":{}},"data":{"page":"` + strings.Repeat(`\u003c`, 400_000) + `"}}`
	tests := map[string]struct {
		object  string // default: pod
		kind    string // default: Pod
		patches []string
		culprit int
		err     string
	}{
		"a good patch":                                 {patches: []string{`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`}},
		"a null is a value":                            {patches: []string{`[{"op":"add","path":"/spec/y","value":null},{"op":"add","path":"/spec/z","value":{"a":null}}]`}},
		"a string for a list":                          {patches: []string{`[{"op":"add","path":"/metadata/labels","value":{}}]`, `[{"op":"add","path":"/spec/hostname","value":"h"},{"op":"add","path":"/spec/containers/0/env","value":"x"}]`}, culprit: 1, err: "operation 1 (add /spec/containers/0/env): after the patch the object is no Pod any more"},
		"mended by its own":                            {patches: []string{`[{"op":"add","path":"/spec/hostname","value":1},{"op":"add","path":"/spec/hostname","value":"h"}]`}},
		"not mended by others":                         {patches: []string{`[{"op":"add","path":"/spec/hostname","value":1}]`, `[{"op":"add","path":"/spec/hostname","value":"h"}]`}},
		"a label that is none":                         {object: `{"kind":"Thing","metadata":{"name":"x"}}`, kind: "Thing", patches: []string{`[{"op":"add","path":"/metadata/labels","value":{"a":1}}]`}, err: "the object is no Thing any more"},
		"a field of a custom resource may be anything": {object: `{"kind":"Thing","metadata":{"name":"x"}}`, kind: "Thing", patches: []string{`[{"op":"add","path":"/spec","value":{"a":1}}]`}},
		"too large":                                    {patches: []string{fmt.Sprintf(`[{"op":"add","path":"/metadata/annotations","value":{"a":%q}}]`, strings.Repeat("x", 2<<20))}, err: "etcd stores at most 1572864"},
		"large in a review, because of its <":          {object: html, kind: "ConfigMap", patches: []string{`[{"op":"add","path":"/metadata/labels/a","value":"b"}]`}},
		"what was unusable before may stay so":         {object: strings.Replace(pod, `"image":"a"`, `"image":1`, 1), patches: []string{`[{"op":"add","path":"/metadata/labels","value":{}}]`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			object, kind := test.object, test.kind
			if object == "" {
				object = pod
			}
			if kind == "" {
				kind = "Pod"
			}
			req := &admissionv1.AdmissionRequest{Object: []byte(object), Kind: &admissionv1.GroupVersionKind{Version: "v1", Kind: kind}}
			came := NewDocument(req.GetObject())
			document := came
			var parts []*Part
			for i, patch := range test.patches {
				var ops []operation
				if err := json.Unmarshal([]byte(patch), &ops); err != nil {
					t.Fatal(err)
				}
				change, err := document.Apply(protos(ops), i+1)
				if err != nil {
					t.Fatal(err)
				}
				parts, document = append(parts, &Part{Ops: change.Ops}), change.Document
			}
			culprit, err := Verify(req, parts, came)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error is %v, want %q", err, test.err)
			}
			if culprit != test.culprit {
				t.Errorf("part %d is blamed, want %d", culprit, test.culprit)
			}
		})
	}
}

// BenchmarkCosts is what the author of an object, who is not the mutator's, can make the gate work. Four times the
// size must not take sixteen times as long.
func BenchmarkCosts(b *testing.B) {
	elements := func(n int) []byte {
		return []byte(`{"metadata":{},"l":[` + strings.TrimSuffix(strings.Repeat(`{"a":1},`, n), ",") + `]}`)
	}
	for _, n := range []int{10_000, 40_000} {
		b.Run(fmt.Sprintf("set-in-each/%d", n), func(b *testing.B) {
			var ops []operation
			for i := range maxOperations {
				ops = append(ops, operation{Op: "add", Path: fmt.Sprintf("/l/%d/b", i), Value: json.RawMessage("1")})
			}
			object := elements(n)
			for b.Loop() {
				came := NewDocument(object)
				first, err := came.Apply(protos([]operation{{Op: "add", Path: "/l/0", Value: json.RawMessage("{}")}}), 1)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := first.Document.Rebase(protos(ops), came, 2); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("replace-list/%d", n), func(b *testing.B) {
			object := elements(n)
			for b.Loop() {
				first, err := NewDocument(object).Apply(protos([]operation{{Op: "add", Path: "/l/-", Value: json.RawMessage("{}")}}), 1)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := first.Document.Apply(protos([]operation{{Op: "replace", Path: "/l", Value: json.RawMessage("[{}]")}}), 2); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("observe-each/%d", n), func(b *testing.B) {
			var members []string
			for i := range n {
				members = append(members, fmt.Sprintf(`"k%d":{"a":1}`, i))
			}
			object := []byte(`{"data":{` + strings.Join(members, ",") + `}}`)
			observed := NewObserved([]string{"/data/*/x"})
			for b.Loop() {
				came := NewDocument(object)
				first, err := came.Apply(protos([]operation{{Op: "replace", Path: "/data/k1/a", Value: json.RawMessage("2")}}), 1)
				if err != nil {
					b.Fatal(err)
				}
				if observed.Changed(came, first.Document) {
					b.Fatal("nobody changed what it observes")
				}
			}
		})
	}
}
