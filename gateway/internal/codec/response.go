package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Asked is what a webhook was asked.
type Asked struct {
	// APIVersion is that of the review, V1 or V1beta1.
	APIVersion string
	// UID is that of the request.
	UID string
	// Mutating tells whether the answer may change the object.
	Mutating bool
}

// Answer is what a webhook said.
type Answer struct {
	// Denial is its refusal, nil when it allows the object.
	Denial *admissionv1.Denial
	// Operations are its patch; none with a denial.
	Operations []*admissionv1.PatchOperation
	// Warnings are for the user.
	Warnings []string
	// AuditAnnotations are for the audit event.
	AuditAnnotations map[string]string
}

type responseReview struct {
	Kind       string         `json:"kind"`
	APIVersion string         `json:"apiVersion"`
	Response   jsontext.Value `json:"response"`
}

// webhookResponse is response, with what has to be told from absence.
type webhookResponse struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status"`
	Patch            string            `json:"patch"`
	PatchType        *string           `json:"patchType"`
	AuditAnnotations map[string]string `json:"auditAnnotations"`
	Warnings         []string          `json:"warnings"`
}

// DecodeResponse reads a webhook's AdmissionReview, and makes the checks that kube-apiserver makes of it
// (k8s.io/apiserver/pkg/admission/plugin/webhook/request, VerifyAdmissionResponse): in v1beta1 neither uid
// nor kind count. It is stricter where kube-apiserver would take one thing for another: names match
// case-sensitively, and none may stand twice. The error says what is wrong with the answer.
func DecodeResponse(data []byte, asked Asked) (*Answer, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	var review responseReview
	if err := unique(data); err != nil {
		return nil, fmt.Errorf("it is no AdmissionReview: %w", err)
	}
	// Whatever else stands beside the response, such as an echo of the request, is skipped as it is.
	if err := json.Unmarshal(data, &review, decodeOptions); err != nil {
		return nil, fmt.Errorf("it is no AdmissionReview: %s", describe(err))
	}
	if len(raw(review.Response)) == 0 {
		return nil, errors.New("it has no response")
	}
	var in webhookResponse
	if err := json.Unmarshal(review.Response, &in, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("its response cannot be read: %w", err)
	}
	if asked.APIVersion == V1 {
		if err := checkV1(&review, &in, asked); err != nil {
			return nil, err
		}
	}
	out := &Answer{Warnings: in.Warnings, AuditAnnotations: in.AuditAnnotations}
	if !in.Allowed {
		out.Denial = denial(in.Status)
		return out, nil
	}
	if !asked.Mutating || in.Patch == "" {
		return out, nil
	}
	patch, err := base64.StdEncoding.DecodeString(in.Patch)
	if err != nil {
		return nil, fmt.Errorf("its patch is not base64: %w", err)
	}
	if out.Operations, err = DecodePatch(patch); err != nil {
		return nil, err
	}
	return out, nil
}

func checkV1(review *responseReview, in *webhookResponse, asked Asked) error {
	switch {
	case review.Kind != kind || review.APIVersion != V1:
		return fmt.Errorf("it is %q of %q, expected %q of %q", review.Kind, review.APIVersion, kind, V1)
	case in.UID != asked.UID:
		return fmt.Errorf("its response.uid is %q, expected %q", in.UID, asked.UID)
	case !asked.Mutating && (in.Patch != "" || in.PatchType != nil):
		return errors.New("it has a response.patch or response.patchType, which a validating webhook may not have")
	case in.Patch != "" && in.PatchType == nil:
		return errors.New("it has a response.patch but no response.patchType")
	case in.Patch == "" && in.PatchType != nil:
		return errors.New("it has a response.patchType but no response.patch")
	case in.PatchType != nil && *in.PatchType != patchType:
		return fmt.Errorf("its response.patchType is %q, expected %q", *in.PatchType, patchType)
	}
	return nil
}

// denial is the status of a refusal. Codes below 400 are no refusals, and kube-apiserver does not take them
// for one either (k8s.io/apiserver/pkg/admission/plugin/webhook/errors, ToStatusErr); neither are reasons
// that the status itself does not give.
func denial(s *status) *admissionv1.Denial {
	if s == nil {
		s = &status{}
	}
	out := &admissionv1.Denial{Message: s.Message, Reason: s.Reason, Code: s.Code}
	if out.Code < 400 || out.Code > 599 {
		out.Code = 0
	}
	if out.Message == "" {
		out.Message = s.Reason
	}
	if out.Message == "" {
		out.Message = "denied without explanation"
	}
	if out.Reason == "" && out.Code == http.StatusBadRequest {
		out.Reason = string(metav1.StatusReasonBadRequest)
	}
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			out.Causes = append(out.Causes, &admissionv1.Cause{Reason: c.Reason, Message: c.Message, Field: c.Field})
		}
	}
	return out
}

// DecodePatch reads a JSON Patch (RFC 6902). Values are the bytes that came. Members that RFC 6902 does not
// know are skipped; none may stand twice in an operation. null is the patch of a webhook that found
// nothing to change, and in Go wrote the nil slice that it had.
func DecodePatch(patch []byte) ([]*admissionv1.PatchOperation, error) {
	var in []jsontext.Value
	if err := json.Unmarshal(patch, &in, decodeOptions); err != nil {
		return nil, fmt.Errorf("its patch is not a list of JSON Patch operations: %s", describe(err))
	}
	out := make([]*admissionv1.PatchOperation, len(in))
	for i, value := range in {
		op, err := decodeOperation(value)
		if err != nil {
			return nil, fmt.Errorf("operation %d of its patch: %w", i, err)
		}
		out[i] = op
	}
	return out, nil
}

func decodeOperation(value jsontext.Value) (*admissionv1.PatchOperation, error) {
	var in struct {
		Op    string         `json:"op"`
		Path  *string        `json:"path"`
		From  *string        `json:"from"`
		Value jsontext.Value `json:"value"`
	}
	if err := unique(value); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(value, &in, decodeOptions); err != nil {
		return nil, err
	}
	out := &admissionv1.PatchOperation{}
	for op, name := range opNames {
		if name == in.Op {
			out.Op = op
		}
	}
	switch {
	case out.Op == admissionv1.PatchOp_PATCH_OP_UNSPECIFIED:
		return nil, fmt.Errorf("op is %q, expected add, remove, replace, move, copy or test", in.Op)
	case in.Path == nil:
		return nil, errors.New("it has no path")
	}
	out.Path = *in.Path
	switch out.Op {
	case admissionv1.PatchOp_PATCH_OP_MOVE, admissionv1.PatchOp_PATCH_OP_COPY:
		if in.From == nil {
			return nil, errors.New("it has no from")
		}
		out.From = *in.From
	case admissionv1.PatchOp_PATCH_OP_ADD, admissionv1.PatchOp_PATCH_OP_REPLACE, admissionv1.PatchOp_PATCH_OP_TEST:
		// kube-apiserver's library takes an absent value for null, RFC 6902 for a mistake.
		if in.Value == nil {
			return nil, errors.New("it has no value")
		}
		out.Value = in.Value
	}
	return out, nil
}

// unique reports what is wrong with the names of one JSON object; what lies below them is not looked at.
func unique(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data), decodeOptions)
	if !enter(dec) {
		return errors.New("it is no JSON object")
	}
	seen := map[string]bool{}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return errors.New(describe(err))
		}
		name := token.String()
		if seen[name] {
			return fmt.Errorf("member %q stands there twice", name)
		}
		seen[name] = true
		if err := dec.SkipValue(); err != nil {
			return errors.New(describe(err))
		}
	}
	return nil
}
