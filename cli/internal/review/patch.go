package review

import (
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/gatefold/gatefold/cli/internal/tree"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// operation is one operation as RFC 6902 writes it.
type operation struct {
	Op    string          `json:"op"`
	From  string          `json:"from,omitempty"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

var opNames = map[admissionv1.PatchOp]string{
	admissionv1.PatchOp_PATCH_OP_ADD:     "add",
	admissionv1.PatchOp_PATCH_OP_REMOVE:  "remove",
	admissionv1.PatchOp_PATCH_OP_REPLACE: "replace",
	admissionv1.PatchOp_PATCH_OP_MOVE:    "move",
	admissionv1.PatchOp_PATCH_OP_COPY:    "copy",
	admissionv1.PatchOp_PATCH_OP_TEST:    "test",
}

// operations returns a patch in its JSON form; an empty list rather than nil.
func operations(ops []*admissionv1.PatchOperation) []operation {
	out := make([]operation, len(ops))
	for i, op := range ops {
		out[i] = operation{Op: opNames[op.GetOp()], From: op.GetFrom(), Path: op.GetPath(), Value: op.GetValue()}
	}
	return out
}

// PatchJSON returns a patch as RFC 6902 writes it; an empty list where there are no operations.
func PatchJSON(ops []*admissionv1.PatchOperation) ([]byte, error) {
	data, err := json.Marshal(operations(ops))
	if err != nil {
		return nil, fmt.Errorf("writing the patch: %w", err)
	}
	return data, nil
}

// apply applies a patch with kube-apiserver's own library, and keeps the order of members, which that
// library does not.
func apply(root *tree.Node, ops []*admissionv1.PatchOperation) (*tree.Node, error) {
	if len(ops) == 0 {
		return root, nil
	}
	data, err := PatchJSON(ops)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, fmt.Errorf("reading the patch: %w", err)
	}
	changed, err := patch.Apply(root.JSON())
	if err != nil {
		return nil, fmt.Errorf("applying the patch: %w", err)
	}
	next, err := tree.ParseJSON(changed)
	if err != nil {
		return nil, fmt.Errorf("reading the patched object: %w", err)
	}
	next.Arrange(root)
	return next, nil
}
