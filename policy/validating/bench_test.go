package validating

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
)

// podRequest is a pod of 6.6 KB as kube-apiserver sent it.
func podRequest(t testing.TB) *sdk.Request {
	t.Helper()
	data, err := os.ReadFile("testdata/pod-review.json")
	if err != nil {
		t.Fatal(err)
	}
	var review reviewv1.AdmissionReview
	if err := json.Unmarshal(data, &review); err != nil {
		t.Fatal(err)
	}
	return policytest.Request(t, review.Request, nil)
}

// BenchmarkValidate evaluates the three shipped policies on one pod, from its JSON to the verdict.
func BenchmarkValidate(b *testing.B) {
	set, err := Load([]string{library})
	if err != nil {
		b.Fatal(err)
	}
	r := podRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Validate(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOtherPolicies is the price of policies that are about something else.
func BenchmarkOtherPolicies(b *testing.B) {
	var files []policy.File
	for i := range 100 {
		files = append(files, policy.File{Name: "policy.json", Data: fmt.Appendf(nil, `{"kind": "List", "apiVersion": "v1", "items": [
			{"kind": "ValidatingAdmissionPolicy", "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "p%d"}, "spec": {
				"matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}]},
				"validations": [{"expression": "true"}]}},
			{"kind": "ValidatingAdmissionPolicyBinding", "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "p%d"}, "spec": {
				"policyName": "p%d", "validationActions": ["Deny"]}}]}`, i, i, i)})
	}
	set, err := Parse(files)
	if err != nil || len(set.Policies()) != len(files) {
		b.Fatal(err)
	}
	r := podRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Validate(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad is the price of a reload of the three shipped policies.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load([]string{library}); err != nil {
			b.Fatal(err)
		}
	}
}
