package sdk

import (
	"fmt"

	"sigs.k8s.io/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Request is one admission request. It is shared between handlers and must not be changed.
type Request struct {
	*admissionv1.AdmissionRequest
}

// Decode fills into with the object, as kube-apiserver would decode it: case-sensitively, and with
// int64 kept where into has no type of its own. It fails on DELETE, which carries no object.
func (r *Request) Decode(into any) error { return decode("object", r.GetObject(), into) }

// DecodeOld fills into with the object as it was. It fails on CREATE, which carries no old object.
func (r *Request) DecodeOld(into any) error { return decode("oldObject", r.GetOldObject(), into) }

func decode(what string, raw []byte, into any) error {
	if len(raw) == 0 {
		return fmt.Errorf("the request has no %s", what)
	}
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, into); err != nil {
		return fmt.Errorf("decoding %s: %w", what, err)
	}
	return nil
}
