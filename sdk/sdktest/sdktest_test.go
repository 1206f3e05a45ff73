package sdktest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func TestRequestKeepsJSONAndTurnsYAMLIntoIt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		object, namespace, raw string
	}{
		"JSON stays as it is": {
			object: `{"kind":"Pod", "metadata":{"name":"a","namespace":"b"},"n":1.0}`, namespace: "b",
			raw: `{"kind":"Pod", "metadata":{"name":"a","namespace":"b"},"n":1.0}`,
		},
		"YAML becomes JSON, in the default namespace": {
			object: "kind: Pod\nmetadata: {name: a}\n", namespace: "default",
			raw: `{"kind":"Pod","metadata":{"name":"a"}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sdktest.PodRequest(t, tc.object)
			if got.GetName() != "a" || got.GetNamespace() != tc.namespace || got.GetKind().GetKind() != "Pod" || got.GetResource().GetResource() != "pods" {
				t.Errorf("got %v", got)
			}
			if d := cmp.Diff(tc.raw, string(got.GetObject())); d != "" {
				t.Errorf("object (-want +got):\n%s", d)
			}
		})
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	operations := []*admissionv1.PatchOperation{
		{Op: admissionv1.PatchOp_PATCH_OP_TEST, Path: "/a", Value: []byte(`1`)},
		{Op: admissionv1.PatchOp_PATCH_OP_MOVE, From: "/a", Path: "/b"},
		{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/c", Value: []byte(`null`)},
		{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: "/d"},
	}
	got := sdktest.Apply(t, []byte(`{"a":1,"d":2}`), operations)
	if d := cmp.Diff(`{"b":1,"c":null}`, string(got)); d != "" {
		t.Errorf("applied (-want +got):\n%s", d)
	}
	want := `[{"op":"test","path":"/a","value":1},{"op":"move","path":"/b","from":"/a"},` +
		`{"op":"add","path":"/c","value":null},{"op":"remove","path":"/d"}]`
	if d := cmp.Diff(want, string(sdktest.PatchJSON(t, operations))); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
}
