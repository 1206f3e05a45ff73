package fold

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// operation is a JSON Patch operation as a test writes it.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	From  string          `json:"from,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

func protos(ops []operation) []*admissionv1.PatchOperation {
	out := make([]*admissionv1.PatchOperation, len(ops))
	for i, op := range ops {
		out[i] = &admissionv1.PatchOperation{Path: op.Path, From: op.From, Value: op.Value}
		if strings.ToLower(op.Op) == op.Op {
			out[i].Op = admissionv1.PatchOp(admissionv1.PatchOp_value["PATCH_OP_"+strings.ToUpper(op.Op)])
		}
	}
	return out
}

// TestDocument runs the cases in testdata/patches.yaml. Where a case applies, the result must also be what
// kube-apiserver's library makes of it.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "patches.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name    string `json:"name"`
		Object  string `json:"object"`
		Patch   string `json:"patch"`
		Want    string `json:"want"`
		Refused string `json:"refused"`
	}
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var ops []operation
			if err := json.Unmarshal([]byte(c.Patch), &ops); err != nil {
				t.Fatal(err)
			}
			req := &admissionv1.AdmissionRequest{Object: []byte(c.Object)}
			document, err := checked(NewDocument(req.GetObject()), req, protos(ops))
			if c.Refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.Refused) {
					t.Fatalf("error is %v, want a refusal with %q", err, c.Refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := document.Bytes()
			if diff := cmp.Diff(c.Want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			theirs, err := upstream([]byte(c.Object), []byte(c.Patch))
			if err != nil {
				t.Fatalf("kube-apiserver's library refuses it: %v", err)
			}
			if diff := cmp.Diff(decode(t, theirs), decode(t, got)); diff != "" {
				t.Errorf("kube-apiserver's library comes to another object (-theirs +ours)\n%s", diff)
			}
		})
	}
}

// TestCopyLimit copies 2 MiB twice: kube-apiserver would refuse the second, and so is one patch. Two patches have
// nothing to do with each other, and kube-apiserver is told to add.
func TestCopyLimit(t *testing.T) {
	req := &admissionv1.AdmissionRequest{Object: []byte(`{"a":"` + strings.Repeat("x", 2<<20) + `"}`)}
	once := protos([]operation{{Op: "copy", From: "/a", Path: "/b"}})
	twice := protos([]operation{{Op: "copy", From: "/a", Path: "/b"}, {Op: "copy", From: "/a", Path: "/c"}})
	if _, err := NewDocument(req.GetObject()).Apply(twice, 1); err == nil || !strings.Contains(err.Error(), "copies more than 3145728 bytes") {
		t.Errorf("two in one patch: %v", err)
	}
	first, err := checked(NewDocument(req.GetObject()), req, once)
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Apply(protos([]operation{{Op: "copy", From: "/a", Path: "/c"}}), 2)
	if err != nil || second.Ops[0].GetOp() != admissionv1.PatchOp_PATCH_OP_ADD {
		t.Errorf("the second patch: %v %v", second.Ops[0].GetOp(), err)
	}
}

// checked applies ops as the gate does: only what a mutator may do at all.
func checked(document *Document, req *admissionv1.AdmissionRequest, ops []*admissionv1.PatchOperation) (*Document, error) {
	if err := (Guard{}).Check(req, ops, document); err != nil {
		return nil, err
	}
	change, err := document.Apply(ops, 1)
	if err != nil {
		return nil, err
	}
	return change.Document, nil
}

func upstream(object, patch []byte) ([]byte, error) {
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	return decoded.Apply(object)
}

// FuzzDocument holds Document against kube-apiserver's library: what we accept, it must accept, and both
// must come to the same object.
func FuzzDocument(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":[1,2,{"b":null}],"c":{"d/e":1,"f~":"<"}}`, `[{"op":"add","path":"/a/1","value":7},{"op":"remove","path":"/c/d~1e"}]`},
		{`{"a":{"b":{}}}`, `[{"op":"move","from":"/a/b","path":"/c"},{"op":"copy","from":"/c","path":"/a/x"}]`},
		{`{"a":[{"n":"x"}]}`, `[{"op":"test","path":"/a/0","value":{"n":"x"}},{"op":"replace","path":"/a/0/n","value":"y"},{"op":"add","path":"/a/-","value":[]}]`},
		{`{"é":"\ud800","a":1e400}`, `[{"op":"add","path":"/b","value":"\u003c"},{"op":"test","path":"/a","value":1e400}]`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, object, patch []byte) {
		var shape map[string]json.RawMessage
		var ops []operation
		if json.Unmarshal(object, &shape) != nil || json.Unmarshal(patch, &ops) != nil {
			return
		}
		document, err := checked(NewDocument(object), &admissionv1.AdmissionRequest{Object: object}, protos(ops))
		if err != nil {
			return // narrower than theirs, which is allowed
		}
		mine := document.Bytes()
		// Their patch is made of ours, so that both work on the same operations.
		canonical, err := json.Marshal(ops)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := upstream(object, canonical)
		if err != nil {
			t.Fatalf("we accept what kube-apiserver refuses: %v\nobject %s\npatch %s", err, object, canonical)
		}
		if !json.Valid(mine) {
			t.Fatalf("no JSON came out: %s", mine)
		}
		if diff := cmp.Diff(decode(t, theirs), decode(t, mine)); diff != "" {
			t.Fatalf("we come to another object (-theirs +ours)\n%s\nobject %s\npatch %s", diff, object, canonical)
		}
	})
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return out
}

func BenchmarkApply(b *testing.B) {
	object := recordedPod(b)
	ops := []operation{
		{Op: "add", Path: "/spec/volumes/0", Value: json.RawMessage(`{"name":"token"}`)},
		{Op: "add", Path: "/spec/containers/0/env/-", Value: json.RawMessage(`{"name":"A","value":"1"}`)},
		{Op: "add", Path: "/spec/containers/0/env/-", Value: json.RawMessage(`{"name":"B","value":"2"}`)},
		{Op: "add", Path: "/spec/containers/0/volumeMounts/-", Value: json.RawMessage(`{"name":"token","mountPath":"/token"}`)},
	}
	patch, err := json.Marshal(ops)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("gatefold", func(b *testing.B) {
		b.ReportAllocs()
		req := &admissionv1.AdmissionRequest{Object: object}
		for b.Loop() {
			if _, err := checked(NewDocument(req.GetObject()), req, protos(ops)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json-patch.v4", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := upstream(object, patch); err != nil {
				b.Fatal(err)
			}
		}
	})
}
