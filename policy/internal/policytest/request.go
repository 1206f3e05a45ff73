// Package policytest is for tests of the policies: it turns what was recorded of kube-apiserver into requests.
package policytest

import (
	"encoding/json"
	"os"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// ReadRequest reads an AdmissionReview from a file.
func ReadRequest(t testing.TB, file string) *sdk.Request {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var review reviewv1.AdmissionReview
	if err := json.Unmarshal(data, &review); err != nil {
		t.Fatal(err)
	}
	return sdktest.ReviewRequest(t, review.Request, nil)
}

// OtherResources are some that are not pods.
func OtherResources() []schema.GroupResource {
	return []schema.GroupResource{
		{Group: "apps", Resource: "deployments"},
		{Group: "apps", Resource: "daemonsets"},
		{Group: "batch", Resource: "jobs"},
		{Resource: "services"},
		{Resource: "configmaps"},
		{Group: "networking.k8s.io", Resource: "ingresses"},
		{Group: "example.com", Resource: "widgets"},
	}
}
