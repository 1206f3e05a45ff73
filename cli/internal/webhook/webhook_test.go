package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/testing/protocmp"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

var request = &admissionv1.AdmissionRequest{
	Uid:             "u1",
	Kind:            &admissionv1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
	Resource:        &admissionv1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
	RequestKind:     &admissionv1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
	RequestResource: &admissionv1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
	Name:            "web",
	Namespace:       "shop",
	Operation:       admissionv1.Operation_OPERATION_UPDATE,
	UserInfo:        &admissionv1.UserInfo{Username: "jane", Groups: []string{"dev"}},
	Object:          []byte(`{"n":9007199254740993}`),
	OldObject:       []byte(`{"n":1.0}`),
	Options:         []byte(`{"kind":"UpdateOptions"}`),
	DryRun:          true,
}

const encoded = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u1",` +
	`"kind":{"group":"apps","version":"v1","kind":"Deployment"},"resource":{"group":"apps","version":"v1","resource":"deployments"},` +
	`"requestKind":{"group":"apps","version":"v1","kind":"Deployment"},"requestResource":{"group":"apps","version":"v1","resource":"deployments"},` +
	`"name":"web","namespace":"shop","operation":"UPDATE","userInfo":{"username":"jane","groups":["dev"]},` +
	`"object":{"n":9007199254740993},"oldObject":{"n":1.0},"dryRun":true,"options":{"kind":"UpdateOptions"}}}`

func TestClient(t *testing.T) {
	patch, err := json.Marshal([]byte(`[{"op":"add","path":"/a","value":null},{"op":"move","from":"/a","path":"/b"},{"op":"remove","path":"/c"}]`))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(response string) string {
		return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":` + response + `}`
	}
	cases := map[string]struct {
		code    int
		body    string
		want    *gatewayv1.Review
		wantErr string
	}{
		"allowed with a patch": {
			code: 200, body: answer(`{"uid":"u1","allowed":true,"warnings":["w"],"patchType":"JSONPatch","patch":` + string(patch) + `}`),
			want: &gatewayv1.Review{Uid: "u1", Allowed: true, Warnings: []string{"w"}, Operations: []*admissionv1.PatchOperation{
				{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/a", Value: []byte("null")},
				{Op: admissionv1.PatchOp_PATCH_OP_MOVE, From: "/a", Path: "/b"},
				{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: "/c"},
			}},
		},
		"denied": {
			code: 200, body: answer(`{"uid":"u1","allowed":false,"status":{"message":"no","reason":"Invalid","code":422,"details":{"causes":[{"reason":"FieldValueInvalid","message":"m","field":"f"}]}}}`),
			want: &gatewayv1.Review{Uid: "u1", Status: &gatewayv1.Status{
				Message: "no", Reason: "Invalid", Code: 422,
				Causes: []*admissionv1.Cause{{Reason: "FieldValueInvalid", Message: "m", Field: "f"}},
			}},
		},
		"a failure in words":        {code: 500, body: "backend identity: down\n", wantErr: "HTTP 500: backend identity: down"},
		"a failure as status":       {code: 504, body: `{"kind":"Status","message":"too late"}`, wantErr: "HTTP 504: too late"},
		"an answer to someone else": {code: 200, body: answer(`{"uid":"u2","allowed":true}`), wantErr: "the gate's AdmissionReview does not answer request u1"},
		"no answer":                 {code: 200, body: `{}`, wantErr: "the gate's AdmissionReview does not answer request u1"},
		"an unknown operation": {
			code: 200, body: answer(`{"uid":"u1","allowed":true,"patch":"W3sib3AiOiJzcGlubiJ9XQ=="}`),
			wantErr: `reading the gate's patch: unknown operation "spinn"`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var asked, path, traceparent string
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				asked, path, traceparent = string(body), r.URL.String(), r.Header.Get("Traceparent")
				w.WriteHeader(tc.code)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer server.Close()
			client := &Client{HTTP: server.Client(), URL: server.URL, Telemetry: telemetry.Discard()}
			ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{2}}))

			got, err := client.Mutate(ctx, &gatewayv1.MutateRequest{Request: request})
			if tc.wantErr != "" {
				if err == nil || err.Error() != tc.wantErr {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.GetReview(), protocmp.Transform()); diff != "" {
				t.Errorf("review (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(encoded, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if path != "/mutate?timeout=10s" || !strings.HasPrefix(traceparent, "00-01000000") {
				t.Errorf("path %q, traceparent %q", path, traceparent)
			}
			if _, err := client.Validate(ctx, &gatewayv1.ValidateRequest{Request: request}); err != nil || path != "/validate?timeout=10s" {
				t.Errorf("Validate: %v, path %q", err, path)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"response":{"uid":"u1","allowed":true,"patch":"W10="}}`))
	f.Add([]byte(`{"response":{"uid":"u1","status":{"details":{"causes":[{}]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		review, err := decode(data, "u1")
		if err == nil && review.GetUid() != "u1" {
			t.Errorf("an answer to somebody else: %v", review)
		}
	})
}
