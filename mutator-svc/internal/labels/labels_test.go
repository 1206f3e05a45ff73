package labels_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// testCase is a document of testdata/cases, see testdata/README.md.
type testCase struct {
	Name    string        `json:"name"`
	Rules   []labels.Rule `json:"rules"`
	Invalid string        `json:"invalid"`
	Request struct {
		Operation        string  `json:"operation"`
		Name             string  `json:"name"`
		Namespace        *string `json:"namespace"`
		NamespaceUnknown bool    `json:"namespaceUnknown"`
		Resource         string  `json:"resource"`
		SubResource      string  `json:"subResource"`
	} `json:"request"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
	Want      struct {
		Unchanged  bool            `json:"unchanged"`
		Metadata   json.RawMessage `json:"metadata"`
		Operations []string        `json:"operations"` // paths
		Denial     string          `json:"denial"`
		Fields     []string        `json:"fields"`
		Error      string          `json:"error"`
	} `json:"want"`
}

func TestCases(t *testing.T) {
	sdktest.Cases(t, "testdata/cases/*.yaml", func(t *testing.T, tc testCase) { tc.run(t) })
}

func (tc testCase) run(t *testing.T) {
	cfg := labels.Config{Rules: tc.Rules}
	cfg.SetDefaults()
	mutator, err := labels.New(cfg)
	if tc.Invalid != "" {
		if err == nil || !strings.Contains(err.Error(), tc.Invalid) {
			t.Errorf("New: %v\nwant an error with: %s", err, tc.Invalid)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	mutation, err := mutator.Mutate(t.Context(), tc.request())
	if tc.Want.Error != "" {
		if err == nil || !strings.Contains(err.Error(), tc.Want.Error) {
			t.Errorf("Mutate: %v, %v\nwant an error with: %s", mutation, err, tc.Want.Error)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if mutation == nil {
		mutation = &sdk.Mutation{}
	}
	if tc.Want.Denial != "" || mutation.Denial != nil {
		var fields []string
		for _, cause := range mutation.Denial.GetCauses() {
			fields = append(fields, cause.GetField())
		}
		if diff := cmp.Diff(tc.Want.Denial, mutation.Denial.GetMessage()) + cmp.Diff(tc.Want.Fields, fields); diff != "" {
			t.Errorf("denial (-want +got):\n%s", diff)
		}
		return
	}
	if mutation.Patch.Empty() != tc.Want.Unchanged {
		t.Fatalf("patch %v, want unchanged: %v", mutation.Patch, tc.Want.Unchanged)
	}
	if tc.Want.Unchanged {
		return
	}
	after, paths := apply(t, tc.Object, mutation)
	if tc.Want.Operations != nil {
		if diff := cmp.Diff(tc.Want.Operations, paths); diff != "" {
			t.Errorf("paths (-want +got):\n%s", diff)
		}
	}
	var want, got struct{ Metadata any }
	decode(t, []byte(`{"Metadata":`+string(tc.Want.Metadata)+`}`), &want)
	decode(t, after, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	tc.Object = after
	again, err := mutator.Mutate(t.Context(), tc.request())
	if err != nil || !again.Patch.Empty() {
		t.Errorf("a second pass: %v, %v, want no change", again, err)
	}
}

func (tc testCase) request() *sdk.Request {
	req := &admissionv1.AdmissionRequest{
		Name:        tc.Request.Name,
		Namespace:   "shop",
		Resource:    &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		SubResource: tc.Request.SubResource,
		Operation:   admissionv1.Operation_OPERATION_CREATE,
		Object:      tc.Object,
		OldObject:   tc.OldObject,
		UserInfo: &admissionv1.UserInfo{
			Username: "alice", Uid: "u-1", Groups: []string{"dev"},
			Extra: map[string]*admissionv1.ExtraValue{"scopes": {Values: []string{"read"}}},
		},
		NamespaceObject: &admissionv1.Namespace{
			Name: "shop", Labels: map[string]string{"team": "payments"}, Annotations: map[string]string{"owner": "ann"},
		},
	}
	if tc.Request.Operation != "" {
		req.Operation = admissionv1.Operation(admissionv1.Operation_value["OPERATION_"+tc.Request.Operation])
	}
	if tc.Request.Resource != "" {
		req.Resource.Resource = tc.Request.Resource
	}
	if tc.Request.Namespace != nil {
		req.Namespace, req.NamespaceObject = *tc.Request.Namespace, nil
	}
	if tc.Request.NamespaceUnknown {
		req.NamespaceObject = nil
	}
	return &sdk.Request{AdmissionRequest: req}
}

func apply(t *testing.T, object []byte, mutation *sdk.Mutation) (after []byte, paths []string) {
	t.Helper()
	operations, err := mutation.Patch.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range operations {
		if op.GetOp() != admissionv1.PatchOp_PATCH_OP_ADD {
			t.Errorf("operation %v, want only additions", op)
		}
		paths = append(paths, op.GetPath())
	}
	return sdktest.Apply(t, object, operations), paths
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}
