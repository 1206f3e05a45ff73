package codec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionapi "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	webhookrequest "k8s.io/apiserver/pkg/admission/plugin/webhook/request"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

func reviews(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "reviews", "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no recorded reviews: %v", err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		out[filepath.Base(file)] = data
	}
	return out
}

// TestDecodeReview reads what kube-apiserver sent, and compares it with what the API's own types make of it.
func TestDecodeReview(t *testing.T) {
	for name, data := range reviews(t) {
		t.Run(name, func(t *testing.T) {
			var want admissionapi.AdmissionReview
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			version, got, err := DecodeReview(data)
			if err != nil {
				t.Fatal(err)
			}
			if version != want.APIVersion {
				t.Errorf("apiVersion is %q, want %q", version, want.APIVersion)
			}
			if diff := cmp.Diff(summary(want.Request), summaryOf(got)); diff != "" {
				t.Errorf("(-kubernetes +gatefold)\n%s", diff)
			}
			for what, pair := range map[string][2][]byte{
				"object":    {want.Request.Object.Raw, got.GetObject()},
				"oldObject": {want.Request.OldObject.Raw, got.GetOldObject()},
				"options":   {want.Request.Options.Raw, got.GetOptions()},
			} {
				if !bytes.Equal(bytes.TrimPrefix(pair[0], []byte("null")), pair[1]) {
					t.Errorf("%s is %s, want %s", what, pair[1], pair[0])
				}
			}
		})
	}
}

// fields are everything of a request but its objects.
type fields struct {
	UID, SubResource, RequestSubResource, Name, Namespace, Operation, Username, UserUID string
	Kind, RequestKind, Resource, RequestResource                                        [3]string
	Groups                                                                              []string
	Extra                                                                               map[string][]string
	DryRun                                                                              bool
}

func summary(r *admissionapi.AdmissionRequest) fields {
	out := fields{
		UID: string(r.UID), SubResource: r.SubResource, RequestSubResource: r.RequestSubResource, Name: r.Name, Namespace: r.Namespace,
		Operation: string(r.Operation), Username: r.UserInfo.Username, UserUID: r.UserInfo.UID, Groups: r.UserInfo.Groups,
		Kind:        [3]string{r.Kind.Group, r.Kind.Version, r.Kind.Kind},
		Resource:    [3]string{r.Resource.Group, r.Resource.Version, r.Resource.Resource},
		RequestKind: [3]string{r.RequestKind.Group, r.RequestKind.Version, r.RequestKind.Kind}, DryRun: *r.DryRun,
		RequestResource: [3]string{r.RequestResource.Group, r.RequestResource.Version, r.RequestResource.Resource},
		Extra:           map[string][]string{},
	}
	for key, values := range r.UserInfo.Extra {
		out.Extra[key] = values
	}
	return out
}

func summaryOf(r *admissionv1.AdmissionRequest) fields {
	kind := func(k *admissionv1.GroupVersionKind) [3]string {
		return [3]string{k.GetGroup(), k.GetVersion(), k.GetKind()}
	}
	resource := func(k *admissionv1.GroupVersionResource) [3]string {
		return [3]string{k.GetGroup(), k.GetVersion(), k.GetResource()}
	}
	out := fields{
		UID: r.GetUid(), SubResource: r.GetSubResource(), RequestSubResource: r.GetRequestSubResource(), Name: r.GetName(), Namespace: r.GetNamespace(),
		Operation: strings.TrimPrefix(r.GetOperation().String(), "OPERATION_"), Username: r.GetUserInfo().GetUsername(), UserUID: r.GetUserInfo().GetUid(),
		Groups: r.GetUserInfo().GetGroups(), Kind: kind(r.GetKind()), RequestKind: kind(r.GetRequestKind()),
		Resource: resource(r.GetResource()), RequestResource: resource(r.GetRequestResource()), DryRun: r.GetDryRun(), Extra: map[string][]string{},
	}
	for key, value := range r.GetUserInfo().GetExtra() {
		out.Extra[key] = value.GetValues()
	}
	return out
}

// TestEncodeReview holds answers to the check that kube-apiserver itself makes of them.
func TestEncodeReview(t *testing.T) {
	patch := []*admissionv1.PatchOperation{
		{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/metadata/labels/a~1b", Value: []byte(`{"n":9007199254740993,"f":1.0,"s":"\u003c<","e":{},"null":null}`)},
		{Op: admissionv1.PatchOp_PATCH_OP_REPLACE, Path: "/spec/x", Value: []byte(`""`)},
		{Op: admissionv1.PatchOp_PATCH_OP_MOVE, Path: "/spec/y", From: "/spec/z"},
		{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: "/spec/w"},
	}
	const wantPatch = `[{"op":"add","path":"/metadata/labels/a~1b","value":{"n":9007199254740993,"f":1.0,"s":"\u003c<","e":{},"null":null}},` +
		`{"op":"replace","path":"/spec/x","value":""},{"op":"move","path":"/spec/y","from":"/spec/z"},{"op":"remove","path":"/spec/w"}]`
	tests := map[string]struct {
		review   *gatewayv1.Review
		mutating bool
		want     *webhookrequest.AdmissionResponse
	}{
		"allowed":           {review: &gatewayv1.Review{Uid: "1", Allowed: true}, mutating: true, want: &webhookrequest.AdmissionResponse{Allowed: true}},
		"allowed, validate": {review: &gatewayv1.Review{Uid: "1", Allowed: true}, want: &webhookrequest.AdmissionResponse{Allowed: true}},
		"changed": {
			review: &gatewayv1.Review{Uid: "1", Allowed: true, Operations: patch, Warnings: []string{"mind"}, AuditAnnotations: map[string]string{"a": "b"}}, mutating: true,
			want: &webhookrequest.AdmissionResponse{Allowed: true, Patch: []byte(wantPatch), PatchType: admissionapi.PatchTypeJSONPatch, Warnings: []string{"mind"}, AuditAnnotations: map[string]string{"a": "b"}},
		},
		"denied": {
			review: &gatewayv1.Review{Uid: "1", Status: &gatewayv1.Status{
				Message: "no <b>", Reason: "Forbidden", Code: 403, Causes: []*admissionv1.Cause{{Reason: "FieldValueInvalid", Message: "m", Field: "spec.x"}},
			}},
			want: denied(),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data, err := EncodeReview(V1, test.review)
			if err != nil {
				t.Fatal(err)
			}
			var review admissionapi.AdmissionReview
			if err := json.Unmarshal(data, &review); err != nil {
				t.Fatal(err)
			}
			got, err := webhookrequest.VerifyAdmissionResponse(types.UID("1"), test.mutating, &review)
			if err != nil {
				t.Fatalf("kube-apiserver refuses %s: %v", data, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s\n%s", diff, data)
			}
		})
	}
}

func denied() *webhookrequest.AdmissionResponse {
	var want webhookrequest.AdmissionResponse
	if err := json.Unmarshal([]byte(`{"Allowed":false,"Result":{"status":"Failure","message":"no <b>","reason":"Forbidden","code":403,`+
		`"details":{"causes":[{"reason":"FieldValueInvalid","message":"m","field":"spec.x"}]}}}`), &want); err != nil {
		panic(err)
	}
	return &want
}

func TestPrefix(t *testing.T) {
	for name, data := range reviews(t) {
		version, req, err := DecodeReview(data)
		if err != nil {
			t.Fatal(err)
		}
		gotVersion, uid, ok := Prefix(data[:min(len(data), 200)])
		if !ok || gotVersion != version || uid != req.GetUid() {
			t.Errorf("%s: got %s %s %v", name, gotVersion, uid, ok)
		}
	}
	for _, beginning := range []string{
		"", "{", `{"kind":"AdmissionReview"`, `{"apiVersion":"admission.k8s.io/v1","request":{"ui`, `{"request":{"uid":"x"`,
		`{"apiVersion":"v1","request":{"uid":"x"}}`, `{"apiVersion":"admission.k8s.io/v1","request":{"object":{"uid":"x"}}}`, `[]`, `{"apiVersion":1}`,
	} {
		if version, uid, ok := Prefix([]byte(beginning)); ok {
			t.Errorf("%s: got %s %s", beginning, version, uid)
		}
	}
}

// FuzzDecodeReview looks for input that crashes the decoder, or that comes out as other bytes than it went in.
func FuzzDecodeReview(f *testing.F) {
	for _, data := range reviews(f) {
		f.Add(data)
	}
	f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"CREATE","object":{"a":1,"a":"\xff"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		version, req, err := DecodeReview(data)
		if err != nil {
			return
		}
		for _, part := range [][]byte{req.GetObject(), req.GetOldObject(), req.GetOptions()} {
			if !bytes.Contains(data, part) {
				t.Fatalf("%s is not a piece of %s", part, data)
			}
		}
		answer, err := EncodeReview(version, &gatewayv1.Review{Uid: req.GetUid(), Allowed: true})
		if err != nil {
			t.Fatal(err)
		}
		var review admissionapi.AdmissionReview
		if err := json.Unmarshal(answer, &review); err != nil || string(review.Response.UID) != req.GetUid() {
			t.Fatalf("answer %s (%v) is not to uid %q", answer, err, req.GetUid())
		}
	})
}

// FuzzPrefix holds the reading of a review's beginning against the reading of the whole.
func FuzzPrefix(f *testing.F) {
	for _, data := range reviews(f) {
		f.Add(data, 300)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		version, uid, ok := Prefix(data[:max(0, min(cut, len(data)))])
		if !ok {
			return
		}
		wholeVersion, req, err := DecodeReview(data)
		if err == nil && (req.GetUid() != uid || wholeVersion != version) && bytes.Count(data, []byte(`"uid"`)) == 1 {
			t.Fatalf("the beginning says %s %s, the whole %s %s", version, uid, wholeVersion, req.GetUid())
		}
	})
}

func BenchmarkDecodeReview(b *testing.B) {
	data := reviews(b)["005-v1-CREATE-Pod.json"]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeReview(data); err != nil {
			b.Fatal(err)
		}
	}
}
