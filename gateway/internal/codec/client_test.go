package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	admissionapi "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	webhookrequest "k8s.io/apiserver/pkg/admission/plugin/webhook/request"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// TestEncodeRequest writes again what kube-apiserver sent, byte for byte.
func TestEncodeRequest(t *testing.T) {
	for name, data := range reviews(t) {
		t.Run(name, func(t *testing.T) {
			version, req, err := DecodeReview(data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := EncodeRequest(version, req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(bytes.TrimSpace(data)), string(got)); diff != "" {
				t.Errorf("(-kube-apiserver +gatefold)\n%s", diff)
			}
		})
	}
}

// TestEncodeRequestLikeKubernetes compares what no recorded review has with what the API's own types write.
func TestEncodeRequestLikeKubernetes(t *testing.T) {
	const review = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},` +
		`"resource":{"group":"","version":"v1","resource":"pods"},"subResource":"status","requestSubResource":"status","operation":"UPDATE",` +
		`"userInfo":{"username":"<\u2028&>","extra":{"b":["1","2"],"a":[]}},"object":{"a":1.0},"oldObject":{"a":9007199254740993},"dryRun":true,"options":null}}`
	_, req, err := DecodeReview([]byte(review))
	if err != nil {
		t.Fatal(err)
	}
	got, err := EncodeRequest(V1, req)
	if err != nil {
		t.Fatal(err)
	}
	var theirs admissionapi.AdmissionReview
	if err := json.Unmarshal([]byte(review), &theirs); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-kubernetes +gatefold)\n%s", diff)
	}
}

func TestEncodeRequestOfWhatIsNotJSON(t *testing.T) {
	for name, object := range map[string]string{
		"a member of its own": `{},"uid":"2"`, "cut off": `{"a":`, "two values": `{} {}`,
	} {
		if data, err := EncodeRequest(V1, &admissionv1.AdmissionRequest{Uid: "1", Object: []byte(object)}); err == nil {
			t.Errorf("%s: written as %s", name, data)
		}
	}
}

func patched(patch string) string {
	return `,"patchType":"JSONPatch","patch":"` + base64.StdEncoding.EncodeToString([]byte(patch)) + `"`
}

// TestDecodeResponse reads answers as kube-apiserver would: where that refuses one, so does the gate.
func TestDecodeResponse(t *testing.T) {
	add := &admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/a", Value: []byte(`{"n": 1.0, "n":9007199254740993}`)}
	tests := map[string]struct {
		version    string // default v1
		validating bool
		response   string // members of response, after uid
		review     string // instead: the whole answer
		want       *Answer
		err        string
		stricter   bool // than kube-apiserver
	}{
		"allowed":                {response: `,"allowed":true`, want: &Answer{}},
		"allowed by a validator": {validating: true, response: `,"allowed":true`, want: &Answer{}},
		"a patch, its values as they are": {
			response: `,"allowed":true` + patched(`[{"op":"add","path":"/a","value":{"n": 1.0, "n":9007199254740993},"comment":"x"}]`),
			want:     &Answer{Operations: []*admissionv1.PatchOperation{add}},
		},
		"every operation": {
			response: `,"allowed":true` + patched(`[{"op":"remove","path":"/a","value":1},{"op":"replace","path":"/b","value":null},{"op":"move","path":"/c","from":"/d"},{"op":"copy","path":"","from":"/e"},{"op":"test","path":"/f","value":""}]`),
			want: &Answer{Operations: []*admissionv1.PatchOperation{
				{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: "/a"},
				{Op: admissionv1.PatchOp_PATCH_OP_REPLACE, Path: "/b", Value: []byte("null")},
				{Op: admissionv1.PatchOp_PATCH_OP_MOVE, Path: "/c", From: "/d"},
				{Op: admissionv1.PatchOp_PATCH_OP_COPY, From: "/e"},
				{Op: admissionv1.PatchOp_PATCH_OP_TEST, Path: "/f", Value: []byte(`""`)},
			}},
		},
		"a patch of nothing":         {response: `,"allowed":true` + patched(`[]`), want: &Answer{}},
		"a patch of Go's nil":        {response: `,"allowed":true` + patched(`null`), want: &Answer{}},
		"a patch in lines of base64": {response: `,"allowed":true,"patchType":"JSONPatch","patch":"W1\n0=\n"`, want: &Answer{}},
		"an echo of the request":     {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"object":{"a":1,"a":2}},"response":{"uid":"1","allowed":true}}`, want: &Answer{}},
		"warnings and audit annotations": {
			response: `,"allowed":true,"warnings":["mind"],"auditAnnotations":{"a":"b"}`,
			want:     &Answer{Warnings: []string{"mind"}, AuditAnnotations: map[string]string{"a": "b"}},
		},
		"denied, with all that can be said": {
			response: `,"allowed":false,"status":{"status":"Failure","message":"no","reason":"Invalid","code":422,"details":{"name":"x","causes":[{"reason":"FieldValueInvalid","message":"m","field":"spec.x"}]}}`,
			want:     &Answer{Denial: &admissionv1.Denial{Message: "no", Reason: "Invalid", Code: 422, Causes: []*admissionv1.Cause{{Reason: "FieldValueInvalid", Message: "m", Field: "spec.x"}}}},
		},
		"denied, and a patch beside it": {
			response: `,"allowed":false,"status":{"message":"no"}` + patched(`[{"op":"remove","path":"/a"}]`), want: &Answer{Denial: &admissionv1.Denial{Message: "no"}},
		},
		"denied with a code alone":          {response: `,"allowed":false,"status":{"message":"no","code":400}`, want: &Answer{Denial: &admissionv1.Denial{Message: "no", Reason: "BadRequest", Code: 400}}},
		"denied with a reason alone":        {response: `,"allowed":false,"status":{"reason":"Forbidden","code":200}`, want: &Answer{Denial: &admissionv1.Denial{Message: "Forbidden", Reason: "Forbidden"}}},
		"denied without a word":             {response: `,"allowed":false`, want: &Answer{Denial: &admissionv1.Denial{Message: "denied without explanation"}}},
		"allowed is left out":               {response: ``, want: &Answer{Denial: &admissionv1.Denial{Message: "denied without explanation"}}},
		"v1beta1 with neither uid nor kind": {version: V1beta1, review: `{"response":{"allowed":true,"patch":"W10="}}`, want: &Answer{}},
		"v1beta1 with another uid":          {version: V1beta1, review: `{"response":{"uid":"2","allowed":true}}`, want: &Answer{}},
		"v1beta1, a validator's patch":      {version: V1beta1, validating: true, review: `{"response":{"allowed":true,"patch":"W10="}}`, want: &Answer{}},

		"nothing":                        {review: ` `, err: "it is empty"},
		"no JSON":                        {review: `<html>`, err: "it is no AdmissionReview"},
		"cut off":                        {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"1","allowed":tr`, err: "it ends too early"},
		"two answers":                    {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"1","allowed":true}}{}`, err: "it is no AdmissionReview"},
		"no response":                    {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, err: "it has no response"},
		"response is null":               {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":null}`, err: "it has no response"},
		"another kind":                   {review: `{"kind":"Review","apiVersion":"admission.k8s.io/v1","response":{"uid":"1","allowed":true}}`, err: `it is "Review" of "admission.k8s.io/v1"`},
		"v1beta1 for v1":                 {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","response":{"uid":"1","allowed":true}}`, err: `it is "AdmissionReview" of "admission.k8s.io/v1beta1", expected`},
		"another uid":                    {review: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"2","allowed":true}}`, err: `its response.uid is "2", expected "1"`},
		"a patch without its type":       {response: `,"allowed":true,"patch":"W10="`, err: "no response.patchType"},
		"a type without its patch":       {response: `,"allowed":true,"patchType":"JSONPatch"`, err: "no response.patch"},
		"another type of patch":          {response: `,"allowed":true,"patchType":"MergePatch","patch":"e30="`, err: `"MergePatch", expected "JSONPatch"`},
		"a validator's patch":            {validating: true, response: `,"allowed":true,"patch":"W10="`, err: "a validating webhook may not have"},
		"a validator's patch type":       {validating: true, response: `,"allowed":true,"patchType":"JSONPatch"`, err: "a validating webhook may not have"},
		"a patch that is not base64":     {response: `,"allowed":true,"patchType":"JSONPatch","patch":"[]"`, err: "its patch is not base64"},
		"a patch that is no list":        {response: `,"allowed":true` + patched(`{"op":"add"}`), err: "its patch is not a list of JSON Patch operations"},
		"an operation that is no object": {response: `,"allowed":true` + patched(`["add"]`), err: "operation 0 of its patch: it is no JSON object"},

		"an operation in capitals":     {response: `,"allowed":true` + patched(`[{"op":"Add","path":"/a","value":1}]`), err: `operation 0 of its patch: op is "Add"`, stricter: true},
		"an operation without a path":  {response: `,"allowed":true` + patched(`[{"op":"remove"}]`), err: "operation 0 of its patch: it has no path", stricter: true},
		"an addition of nothing":       {response: `,"allowed":true` + patched(`[{"op":"add","path":"/a"}]`), err: "operation 0 of its patch: it has no value", stricter: true},
		"a move from nowhere":          {response: `,"allowed":true` + patched(`[{"op":"move","path":"/a"}]`), err: "operation 0 of its patch: it has no from", stricter: true},
		"a path that stands twice":     {response: `,"allowed":true` + patched(`[{"op":"remove","path":"/a","path":"/b"}]`), err: `member "path" stands there twice`, stricter: true},
		"a verdict that stands twice":  {response: `,"allowed":false,"allowed":true`, err: `duplicate object member name "allowed"`, stricter: true},
		"a response that stands twice": {review: `{"response":{"uid":"1","allowed":false},"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"1","allowed":true}}`, err: `member "response" stands there twice`, stricter: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.version == "" {
				test.version = V1
			}
			if test.review == "" {
				test.review = `{"kind":"AdmissionReview","apiVersion":"` + test.version + `","response":{"uid":"1"` + test.response + `}}`
			}
			got, err := DecodeResponse([]byte(test.review), Asked{APIVersion: test.version, UID: "1", Mutating: !test.validating})
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error is %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if test.version == V1 && test.stricter && !kubeTakes(test.review, !test.validating) {
				t.Error("kube-apiserver refuses it as well: it is not stricter")
			}
		})
	}
}

// kubeTakes tells whether kube-apiserver's own check of an answer lets it pass.
func kubeTakes(review string, mutating bool) bool {
	var theirs admissionapi.AdmissionReview
	if err := json.Unmarshal([]byte(review), &theirs); err != nil {
		return false
	}
	_, err := webhookrequest.VerifyAdmissionResponse(types.UID("1"), mutating, &theirs)
	return err == nil
}

// FuzzDecodeResponse holds every answer that the gate takes against kube-apiserver's own check of it.
func FuzzDecodeResponse(f *testing.F) {
	for _, response := range []string{
		`{"uid":"1","allowed":true}`, `{"uid":"1","allowed":false,"status":{"message":"no","code":403,"details":{"causes":[{"field":"a"}]}}}`,
		`{"uid":"1","allowed":true` + patched(`[{"op":"add","path":"/a","value":{"a":1,"a":"\xff"}}]`) + `}`, `{"UID":"1","Allowed":true}`,
	} {
		f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":`+response+`}`), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, mutating bool) {
		got, err := DecodeResponse(data, Asked{APIVersion: V1, UID: "1", Mutating: mutating})
		if err != nil {
			return
		}
		if got.Denial != nil && got.Operations != nil {
			t.Fatalf("both denied and changed: %v", got)
		}
		if _, err := proto.Marshal(&admissionv1.MutateResponse{Operations: got.Operations, Denial: got.Denial, Warnings: got.Warnings, AuditAnnotations: got.AuditAnnotations}); err != nil {
			t.Fatalf("%s cannot travel on: %v", data, err)
		}
		if !kubeTakes(string(data), mutating) {
			t.Fatalf("kube-apiserver refuses %s", data)
		}
	})
}

// FuzzDecodePatch writes every patch that can be read, and reads it again.
func FuzzDecodePatch(f *testing.F) {
	f.Add([]byte(`[{"op":"add","path":"/a~1b","value":{"a":1,"a":"\xff"}},{"op":"move","path":"/a","from":"/b"},{"op":"test","path":"","value":null}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := DecodePatch(data)
		if err != nil {
			return
		}
		written, err := EncodePatch(ops)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodePatch(written)
		if err != nil || len(again) != len(ops) {
			t.Fatalf("%s was written as %s: %v", data, written, err)
		}
		for i := range ops {
			if ops[i].GetOp() != again[i].GetOp() || ops[i].GetPath() != again[i].GetPath() || ops[i].GetFrom() != again[i].GetFrom() {
				t.Fatalf("%v became %v", ops[i], again[i])
			}
		}
	})
}

// FuzzEncodeRequest reads reviews, writes their requests and reads those: nothing may have changed.
func FuzzEncodeRequest(f *testing.F) {
	for _, data := range reviews(f) {
		f.Add(data)
	}
	f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"<","operation":"CREATE","object": {"a" :1,"a":"\xff"} ,"userInfo":{"extra":{"":null}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		version, req, err := DecodeReview(data)
		if err != nil {
			return
		}
		written, err := EncodeRequest(version, req)
		if err != nil {
			t.Fatal(err)
		}
		againVersion, again, err := DecodeReview(written)
		if err != nil || againVersion != version || !proto.Equal(req, again) {
			t.Fatalf("%s was written as %s (%v)", data, written, err)
		}
	})
}
