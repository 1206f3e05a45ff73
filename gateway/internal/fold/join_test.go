package fold

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

func TestJoin(t *testing.T) {
	denied := func(backend string, denials ...*admissionv1.Denial) *Part {
		return &Part{Backend: backend, Required: true, Outcome: gatewayv1.Outcome_OUTCOME_DENIED, Denials: denials}
	}
	failed := func(backend string, required bool, cause outcome.Cause) *Part {
		p := &Part{Backend: backend, Required: required, Warnings: []string{"of no account"}}
		p.Fail(cause, errors.New("it broke"))
		return p
	}
	add := []*admissionv1.PatchOperation{{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/a", Value: []byte("1")}}
	tests := map[string]struct {
		parts []*Part
		want  *gatewayv1.Review
		cause outcome.Cause
		err   string
	}{
		"nobody": {want: &gatewayv1.Review{Uid: "u", Allowed: true}},
		"warnings come once, by name, and without control characters": {
			parts: []*Part{{Backend: "a", Warnings: []string{"x\ty", "x\ty"}}, {Backend: "b", Warnings: []string{"x\ty"}}},
			want:  &gatewayv1.Review{Uid: "u", Allowed: true, Warnings: []string{"a: x y", "b: x y"}},
		},
		"audit keys get the backend's name and stay qualified names": {
			parts: []*Part{{Backend: "a", Audit: map[string]string{"k": "1", "dom.ain/k": "2", "no key": "3", strings.Repeat("x", 63): "4"}}},
			want:  &gatewayv1.Review{Uid: "u", Allowed: true, AuditAnnotations: map[string]string{"a.k": "1", "a.dom.ain_k": "2"}},
		},
		"a refusal's own code, reason and causes are kept": {
			parts: []*Part{denied("a", &admissionv1.Denial{Message: "m", Reason: "Invalid", Code: 422, Causes: []*admissionv1.Cause{{Field: "spec.x", Message: "c"}}})},
			want: &gatewayv1.Review{Uid: "u", Status: &gatewayv1.Status{
				Message: "a: m", Reason: "Invalid", Code: 422, Causes: []*admissionv1.Cause{{Field: "spec.x", Message: "c"}},
			}},
		},
		"a code that is no refusal becomes 403": {
			parts: []*Part{denied("a", &admissionv1.Denial{Message: "m", Code: 200})},
			want: &gatewayv1.Review{Uid: "u", Status: &gatewayv1.Status{
				Message: "a: m", Reason: "Forbidden", Code: 403, Causes: []*admissionv1.Cause{{Message: "a: m"}},
			}},
		},
		"a refusal carries no patch": {
			parts: []*Part{{Backend: "a", Outcome: gatewayv1.Outcome_OUTCOME_CHANGED, Ops: add}, denied("b", &admissionv1.Denial{Message: "m"})},
			want: &gatewayv1.Review{Uid: "u", Status: &gatewayv1.Status{
				Message: "b: m", Reason: "Forbidden", Code: 403, Causes: []*admissionv1.Cause{{Message: "b: m"}},
			}},
		},
		"a refusal goes before a failure": {
			parts: []*Part{failed("a", true, outcome.Timeout), denied("b", &admissionv1.Denial{Message: "m"})},
			want: &gatewayv1.Review{Uid: "u", Status: &gatewayv1.Status{
				Message: "b: m", Reason: "Forbidden", Code: 403, Causes: []*admissionv1.Cause{{Message: "b: m"}},
			}},
		},
		"the first failure gives the cause, and all are named": {
			parts: []*Part{failed("a", false, outcome.BadPatch), failed("b", true, outcome.Timeout), failed("c", true, outcome.Unreachable)},
			cause: outcome.Timeout, err: `gatefold backend "b" failed: it broke; gatefold backend "c" failed: it broke`,
		},
		"an ignored failure is a warning, and what it said before does not count": {
			parts: []*Part{failed("a", false, outcome.BadPatch), {Backend: "b", Outcome: gatewayv1.Outcome_OUTCOME_CHANGED, Ops: add}},
			want:  &gatewayv1.Review{Uid: "u", Allowed: true, Operations: add, Warnings: []string{`gatefold backend "a" failed and was ignored: it broke`}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Join("u", test.parts)
			if test.err != "" {
				if err == nil || err.Error() != test.err || outcome.Of(err) != test.cause {
					t.Fatalf("got %v and %v (%s), want %s (%s)", got, err, outcome.Of(err), test.err, test.cause)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
