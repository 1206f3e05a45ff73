package sdktest

import (
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Apply returns object with the operations applied by the library that kube-apiserver applies them with.
// The test fails when they do not apply.
func Apply(tb testing.TB, object []byte, operations []*admissionv1.PatchOperation) []byte {
	tb.Helper()
	if len(operations) == 0 {
		return object
	}
	document := PatchJSON(tb, operations)
	patch, err := jsonpatch.DecodePatch(document)
	if err != nil {
		tb.Fatalf("decoding the patch %s: %v", document, err)
	}
	patched, err := patch.Apply(object)
	if err != nil {
		tb.Fatalf("applying the patch %s: %v", document, err)
	}
	return patched
}

// PatchJSON spells the operations as a JSON Patch document, as kube-apiserver gets them.
func PatchJSON(tb testing.TB, operations []*admissionv1.PatchOperation) []byte {
	tb.Helper()
	type operation struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		From  string          `json:"from,omitempty"`
		Value json.RawMessage `json:"value,omitempty"`
	}
	list := make([]operation, len(operations))
	for i, op := range operations {
		list[i] = operation{
			Op:    strings.ToLower(strings.TrimPrefix(op.GetOp().String(), "PATCH_OP_")),
			Path:  op.GetPath(),
			From:  op.GetFrom(),
			Value: op.GetValue(),
		}
	}
	document, err := json.Marshal(list)
	if err != nil {
		tb.Fatalf("encoding the patch: %v", err)
	}
	return document
}
