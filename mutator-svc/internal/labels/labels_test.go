package labels_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
		Resource         string  `json:"resource"` // such as deployments.apps
		Kind             string  `json:"kind"`
		SubResource      string  `json:"subResource"`
		User             string  `json:"user"`
		Group            string  `json:"group"`
		DryRun           bool    `json:"dryRun"`
	} `json:"request"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
	Want      struct {
		Unchanged  bool            `json:"unchanged"`
		Metadata   json.RawMessage `json:"metadata"`
		Object     json.RawMessage `json:"object"`
		Operations []string        `json:"operations"` // paths
		Denial     string          `json:"denial"`
		Fields     []string        `json:"fields"`
		Error      string          `json:"error"`
		Warnings   []string        `json:"warnings"`
	} `json:"want"`
}

func TestCases(t *testing.T) {
	sdktest.Cases(t, "testdata/cases/*.yaml", func(t *testing.T, tc testCase) { tc.run(t) })
}

func (tc testCase) run(t *testing.T) {
	mutator, err := newMutator(tc.Rules)
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
	if diff := cmp.Diff(tc.Want.Warnings, mutation.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
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
	tc.compare(t, after)
	tc.Object = after
	again, err := mutator.Mutate(t.Context(), tc.request())
	if err != nil || !again.Patch.Empty() {
		t.Errorf("a second pass: %v, %v, want no change", again, err)
	}
}

func (tc testCase) compare(t *testing.T, after []byte) {
	t.Helper()
	var want, got map[string]any
	decode(t, after, &got)
	if tc.Want.Object != nil {
		decode(t, tc.Want.Object, &want)
	} else {
		decode(t, []byte(`{"metadata":`+string(tc.Want.Metadata)+`}`), &want)
		got = map[string]any{"metadata": got["metadata"]}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
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
		parsed := schema.ParseGroupResource(tc.Request.Resource)
		req.Resource.Group, req.Resource.Resource = parsed.Group, parsed.Resource
	}
	if tc.Request.Kind != "" {
		req.Kind = &admissionv1.GroupVersionKind{Group: req.GetResource().GetGroup(), Version: "v1", Kind: tc.Request.Kind}
	}
	if tc.Request.User != "" {
		req.UserInfo = &admissionv1.UserInfo{Username: tc.Request.User}
	}
	if tc.Request.Group != "" {
		req.UserInfo.Groups = append(req.UserInfo.Groups, tc.Request.Group)
	}
	req.DryRun = tc.Request.DryRun
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
		if op.GetOp() != admissionv1.PatchOp_PATCH_OP_ADD && op.GetOp() != admissionv1.PatchOp_PATCH_OP_REMOVE {
			t.Errorf("operation %v, want only additions and removals", op)
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
