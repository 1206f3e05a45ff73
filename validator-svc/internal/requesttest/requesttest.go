// Package requesttest is for tests of validators that look at other objects.
package requesttest

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// Of returns the request to create object, or to change old into it. Without object it has no object: a deletion is
// the caller's to make of it.
func Of(tb testing.TB, object, old map[string]any) *sdk.Request {
	tb.Helper()
	encode := func(o map[string]any) []byte {
		if o == nil {
			return nil
		}
		raw, err := json.Marshal(o)
		if err != nil {
			tb.Fatal(err)
		}
		return raw
	}
	q := &admissionv1.AdmissionRequest{Operation: admissionv1.Operation_OPERATION_CREATE, Object: encode(object), OldObject: encode(old), Uid: "u"}
	if old != nil {
		q.Operation = admissionv1.Operation_OPERATION_UPDATE
	}
	if object == nil {
		object = old
	}
	u := unstructured.Unstructured{Object: object}
	kind := u.GroupVersionKind()
	q.Kind = &admissionv1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}
	q.Name, q.Namespace = u.GetName(), u.GetNamespace()
	if kind.Kind == "Namespace" { // as kube-apiserver sends it
		q.Namespace = q.Name
	}
	return &sdk.Request{AdmissionRequest: q}
}

// Message is what a verdict says against the object, a line for each denial; empty: nothing.
func Message(v *sdk.Verdict) string {
	if v == nil {
		return ""
	}
	var all []string
	for _, d := range v.Denials {
		all = append(all, d.GetMessage())
	}
	return strings.Join(all, "\n")
}
