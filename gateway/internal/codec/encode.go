package codec

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// patchType is the only one there is.
const patchType = "JSONPatch"

// The answer as it is on the wire; the same members in v1 and v1beta1.
type answer struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Response   response `json:"response"`
}

type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status,omitempty"`
	Patch            []byte            `json:"patch,omitempty"` // base64, as encoding/json does for metav1
	PatchType        string            `json:"patchType,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
}

type status struct {
	Status  string   `json:"status"`
	Message string   `json:"message"`
	Reason  string   `json:"reason,omitempty"`
	Details *details `json:"details,omitempty"`
	Code    int32    `json:"code"`
}

type details struct {
	Causes []cause `json:"causes,omitempty"`
}

type cause struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Field   string `json:"field,omitempty"`
}

type patchOperation struct {
	Op    string         `json:"op"`
	Path  string         `json:"path"`
	From  *string        `json:"from,omitzero"`
	Value jsontext.Value `json:"value,omitzero"`
}

// encodeOptions keep the values that mutators sent as they wrote them, and the order of annotations
// the same from one answer to the next.
var encodeOptions = json.JoinOptions(
	json.Deterministic(true),
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true),
)

// EncodeReview writes the answer to a review in the apiVersion that was asked. A patch and its type are
// both there or both absent, as kube-apiserver demands of v1.
func EncodeReview(apiVersion string, r *gatewayv1.Review) ([]byte, error) {
	out := answer{
		Kind:       kind,
		APIVersion: apiVersion,
		Response: response{
			UID:              r.GetUid(),
			Allowed:          r.GetAllowed(),
			AuditAnnotations: r.GetAuditAnnotations(),
			Warnings:         r.GetWarnings(),
		},
	}
	if s := r.GetStatus(); s != nil {
		out.Response.Status = encodeStatus(s)
	}
	if len(r.GetOperations()) > 0 {
		patch, err := EncodePatch(r.GetOperations())
		if err != nil {
			return nil, err
		}
		out.Response.Patch, out.Response.PatchType = patch, patchType
	}
	data, err := json.Marshal(out, encodeOptions)
	if err != nil {
		return nil, fmt.Errorf("encoding the AdmissionReview: %w", err)
	}
	return data, nil
}

func encodeStatus(s *gatewayv1.Status) *status {
	out := &status{Status: "Failure", Message: s.GetMessage(), Reason: s.GetReason(), Code: s.GetCode()}
	if len(s.GetCauses()) > 0 {
		out.Details = &details{Causes: make([]cause, len(s.GetCauses()))}
		for i, c := range s.GetCauses() {
			out.Details.Causes[i] = cause{Reason: c.GetReason(), Message: c.GetMessage(), Field: c.GetField()}
		}
	}
	return out
}

// EncodePatch writes operations as a JSON Patch (RFC 6902).
func EncodePatch(ops []*admissionv1.PatchOperation) ([]byte, error) {
	out := make([]patchOperation, len(ops))
	for i, op := range ops {
		name, ok := opNames[op.GetOp()]
		if !ok {
			return nil, fmt.Errorf("patch operation %d has no op", i)
		}
		out[i] = patchOperation{Op: name, Path: op.GetPath()}
		switch op.GetOp() {
		case admissionv1.PatchOp_PATCH_OP_MOVE, admissionv1.PatchOp_PATCH_OP_COPY:
			out[i].From = &op.From
		case admissionv1.PatchOp_PATCH_OP_ADD, admissionv1.PatchOp_PATCH_OP_REPLACE, admissionv1.PatchOp_PATCH_OP_TEST:
			out[i].Value = op.GetValue()
		}
	}
	data, err := json.Marshal(out, encodeOptions)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	return data, nil
}

var opNames = map[admissionv1.PatchOp]string{
	admissionv1.PatchOp_PATCH_OP_ADD:     "add",
	admissionv1.PatchOp_PATCH_OP_REMOVE:  "remove",
	admissionv1.PatchOp_PATCH_OP_REPLACE: "replace",
	admissionv1.PatchOp_PATCH_OP_MOVE:    "move",
	admissionv1.PatchOp_PATCH_OP_COPY:    "copy",
	admissionv1.PatchOp_PATCH_OP_TEST:    "test",
}
