package fold

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// FuzzRebase lets two mutators patch one object, and carries the second patch over to what the first has
// made. Where that is possible, kube-apiserver's library has to come to the same with both patches in a row;
// and where they have nothing to do with each other, it must not matter who was first.
func FuzzRebase(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"l":[{"a":1},{"b":2}]}`, `[{"op":"add","path":"/l/0","value":{}}]`, `[{"op":"add","path":"/l/1/c","value":3},{"op":"remove","path":"/l/0"}]`},
		{`{}`, `[{"op":"add","path":"/m","value":{"a":{"x":1}}}]`, `[{"op":"add","path":"/m","value":{"a":{"y":2},"b":3}},{"op":"test","path":"/m/b","value":3}]`},
		{`{"m":{"a/b":[1,2,3]}}`, `[{"op":"remove","path":"/m/a~1b/0"}]`, `[{"op":"move","from":"/m/a~1b/2","path":"/m/a~1b/-"},{"op":"copy","from":"/m/a~1b/1","path":"/c"}]`},
		{`{"l":[]}`, `[{"op":"add","path":"/l/-","value":1}]`, `[{"op":"add","path":"/l/-","value":2},{"op":"replace","path":"/l/0","value":3}]`},
		{`{"a":{"b":null}}`, `[{"op":"replace","path":"/a","value":[]}]`, `[{"op":"add","path":"/a/b","value":{}}]`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]), []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, object, first, second []byte) {
		var shape map[string]json.RawMessage
		var a, b []operation
		if json.Unmarshal(object, &shape) != nil || json.Unmarshal(first, &a) != nil || json.Unmarshal(second, &b) != nil {
			return
		}
		req := &admissionv1.AdmissionRequest{Object: object}
		for _, ops := range [][]operation{a, b} {
			if (Guard{}).Check(req, protos(ops), NewDocument(object)) != nil {
				return
			}
		}
		came := NewDocument(object)
		mine, err := came.Apply(protos(a), 1)
		if err != nil {
			return
		}
		both, err := mine.Document.Rebase(protos(b), came, 2)
		if err != nil {
			return // asked again, or the second patch does not apply by itself
		}
		// What verifying by the outline lets pass, the whole object has to let pass.
		ops := slices.Concat(mine.Ops, both.Ops)
		if _, err := verify(req, came.outline(nil, came.root), ops); err == nil && outlined(req, ops) {
			if _, err := verify(req, object, ops); err != nil {
				t.Fatalf("the outline %s hides this: %v", came.outline(nil, came.root), err)
			}
		}
		theirs, err := applyUpstream(object, slices.Concat(mine.Ops, both.Ops))
		if err != nil {
			t.Fatalf("kube-apiserver refuses what was carried over: %v\n%v\n%v", err, mine.Ops, both.Ops)
		}
		if diff := cmp.Diff(decode(t, theirs), decode(t, both.Document.Bytes())); diff != "" {
			t.Fatalf("we come to another object (-theirs +ours)\n%s\n%v\n%v", diff, mine.Ops, both.Ops)
		}
		swapped, err := came.Apply(protos(b), 1)
		if err != nil {
			t.Fatalf("the second patch was carried over and does not apply by itself: %v", err)
		}
		other, err := swapped.Document.Rebase(protos(a), came, 2)
		if err != nil || appends(a) && appends(b) {
			return // two ends of one list: who comes first matters
		}
		if diff := cmp.Diff(decode(t, both.Document.Bytes()), decode(t, other.Document.Bytes())); diff != "" {
			t.Fatalf("the order of two that do not touch each other matters (-second last +first last)\n%s\nobject %s\nfirst %s\nsecond %s", diff, object, first, second)
		}
	})
}

func appends(ops []operation) bool {
	return slices.ContainsFunc(ops, func(op operation) bool { return len(op.Path) > 0 && op.Path[len(op.Path)-1] == '-' })
}

// TestOverruled names what earlier mutators lose to a later one.
func TestOverruled(t *testing.T) {
	const object = `{"metadata":{},"spec":{"l":["came"]}}`
	tests := map[string]struct {
		first, second string
		want          []Overruled
	}{
		"another value": {
			`[{"op":"add","path":"/metadata/labels","value":{"a":"1","b":"2"}}]`, `[{"op":"add","path":"/metadata/labels/a","value":"3"}]`,
			[]Overruled{{"/metadata/labels/a", 1}},
		},
		"the same value": {`[{"op":"add","path":"/metadata/labels","value":{"a":"1"}}]`, `[{"op":"add","path":"/metadata/labels/a","value":"1"}]`, nil},
		"removed":        {`[{"op":"add","path":"/metadata/labels","value":{"a":"1"}}]`, `[{"op":"remove","path":"/metadata/labels"}]`, []Overruled{{"/metadata/labels/a", 1}}},
		"one of two is kept": {
			`[{"op":"add","path":"/metadata/labels","value":{"a":"1","b/c":"2"}}]`, `[{"op":"replace","path":"/metadata/labels","value":{"a":"1","d":"4"}}]`,
			[]Overruled{{"/metadata/labels/b~1c", 1}},
		},
		"what came with the object is nobody's": {`[]`, `[{"op":"replace","path":"/spec/l/0","value":"x"}]`, nil},
		"an element":                            {`[{"op":"add","path":"/spec/l/-","value":"1"}]`, `[{"op":"remove","path":"/spec/l/1"}]`, []Overruled{{"/spec/l/1", 1}}},
		"a list that keeps the element":         {`[{"op":"add","path":"/spec/l/-","value":"1"}]`, `[{"op":"replace","path":"/spec/l","value":["0","1"]}]`, nil},
		"deep below what is replaced": {
			`[{"op":"add","path":"/spec/x","value":{"y":{"z":1}}}]`, `[{"op":"add","path":"/spec","value":{}}]`, []Overruled{{"/spec/x/y/z", 1}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var first, second []operation
			for text, into := range map[string]*[]operation{test.first: &first, test.second: &second} {
				if err := json.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			before, err := NewDocument([]byte(object)).Apply(protos(first), 1)
			if err != nil {
				t.Fatal(err)
			}
			after, err := before.Document.Apply(protos(second), 2)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, after.Overruled); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// BenchmarkFold folds the answers of so many mutators, each of which was asked about the object as it came
// and changes two places of it; then it verifies what came out. "checks" is what one answer costs at least.
func BenchmarkFold(b *testing.B) {
	object := recordedPod(b)
	req := &admissionv1.AdmissionRequest{Kind: &admissionv1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Object: object}
	patch := func(i int) []*admissionv1.PatchOperation {
		return protos([]operation{
			{Op: "add", Path: fmt.Sprintf("/metadata/labels/team-%d", i), Value: json.RawMessage(`"x"`)},
			{Op: "add", Path: "/spec/containers/0/env/-", Value: json.RawMessage(`{"name":"A","value":"1"}`)},
		})
	}
	observed := NewObserved([]string{"/metadata/annotations", "/spec/serviceAccountName"})
	fold := func(b *testing.B, n int) ([]*Part, *Document) {
		came := NewDocument(object)
		now := came
		var parts []*Part
		for i := range n {
			ops := patch(i)
			if err := (Guard{}).Check(req, ops, came); err != nil {
				b.Fatal(err)
			}
			if observed.Changed(came, now) {
				b.Fatal("nobody changed what it observes")
			}
			change, err := now.Rebase(ops, came, i+1)
			if err != nil {
				b.Fatal(err)
			}
			parts, now = append(parts, &Part{Ops: change.Ops}), change.Document
		}
		return parts, came
	}
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("%d/fold", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fold(b, n)
			}
		})
		parts, came := fold(b, n)
		b.Run(fmt.Sprintf("%d/verify", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(req, parts, came); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func recordedPod(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "codec", "testdata", "reviews", "005-v1-CREATE-Pod.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var review struct {
		Request struct{ Object json.RawMessage }
	}
	if err := json.Unmarshal(data, &review); err != nil {
		tb.Fatal(err)
	}
	return review.Request.Object
}

// TestRestored: a list that is set to what it was is not taken for one that never changed.
func TestRestored(t *testing.T) {
	const object = `{"l":["a"],"m":{"x":1}}`
	changed, err := NewDocument([]byte(object)).Apply(protos([]operation{
		{Op: "add", Path: "/l/-", Value: json.RawMessage(`"b"`)}, {Op: "remove", Path: "/m/x"},
	}), 1)
	if err != nil {
		t.Fatal(err)
	}
	restored, err := changed.Document.Apply(protos([]operation{
		{Op: "replace", Path: "/l", Value: json.RawMessage(`["a"]`)}, {Op: "add", Path: "/m", Value: json.RawMessage(`{"x":1}`)},
	}), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(restored.Document.Bytes()); got != object {
		t.Errorf("it is %s", got)
	}
}
