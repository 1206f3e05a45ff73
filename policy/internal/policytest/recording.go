package policytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"

	"github.com/gatefold/gatefold/policy"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Recorded is what was recorded of a request to kube-apiserver 1.36.3, but for what came of it.
type Recorded struct {
	ID       string            `json:"id"`
	About    string            `json:"about"`
	Policies []json.RawMessage `json:"policies"` // and whatever else had to exist
	Asked    struct {
		Review *reviewv1.AdmissionRequest `json:"review"`
	} `json:"request"`
}

// Request is the request that the gate would send.
func (r *Recorded) Request(t testing.TB) *sdk.Request {
	t.Helper()
	return sdktest.ReviewRequest(t, r.Asked.Review, r.namespace())
}

// Files are the policies as files.
func (r *Recorded) Files() []policy.File {
	var files []policy.File
	for i, p := range r.Policies {
		files = append(files, policy.File{Name: fmt.Sprintf("%d.json", i), Data: p})
	}
	return files
}

// namespace is the request's, as it was; nil when it has none.
func (r *Recorded) namespace() *admissionv1.Namespace {
	for _, p := range r.Policies {
		var ns metav1.PartialObjectMetadata
		if json.Unmarshal(p, &ns) == nil && ns.Kind == "Namespace" && ns.Name == r.Asked.Review.Namespace {
			return &admissionv1.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
		}
	}
	if ns := r.Asked.Review.Namespace; ns != "" {
		return &admissionv1.Namespace{Name: ns, Labels: map[string]string{"kubernetes.io/metadata.name": ns}}
	}
	return nil
}

// Recordings reads a file that has one T a line, at least one.
func Recordings[T any](t testing.TB, file string) []T {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for line := range bytes.Lines(data) {
		var r T
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s:%d: %v", file, len(all)+1, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no recordings", file)
	}
	return all
}
