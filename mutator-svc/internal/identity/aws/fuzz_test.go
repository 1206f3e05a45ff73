package aws_test

import (
	"context"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// everyServiceAccount has a role for whoever asks.
type everyServiceAccount struct{ expiration string }

func (e everyServiceAccount) Get(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{
		"eks.amazonaws.com/role-arn":         "arn:aws:iam::111122223333:role/reader",
		"eks.amazonaws.com/token-expiration": e.expiration,
	}}}, nil
}

// Whatever the object looks like, there is an answer or an error, and what comes back applies: a patch
// that does not would fail the pod whatever the failure policy. What it makes needs no second pass.
func FuzzPatchApplies(f *testing.F) {
	pod, err := os.ReadFile("../pod/testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pod, "3600")
	for _, seed := range []string{
		`{"spec":{"serviceAccountName":"a","containers":[null,{"env":null}],"initContainers":[{"env":[],"volumeMounts":[{}]}],"volumes":[null]}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"name":"x"}]},"spec":{"serviceAccountName":"a"}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"env":[],"env":null}],"containers":[]}}`,
		`{"spec":null,"spec":{"serviceAccountName":"a","nodeSelector":{"kubernetes.io/os":"windows"}},"metadata":{"annotations":{"eks.amazonaws.com/skip-containers":"a,\"b"}}}`,
	} {
		f.Add([]byte(seed), "x")
	}
	f.Fuzz(func(t *testing.T, object []byte, expiration string) {
		var cfg aws.Config
		cfg.DefaultRegion, cfg.STSRegionalEndpoints = "eu-central-1", true
		cfg.SetDefaults()
		mutator := identity.New(identity.Config{AWS: &cfg}, everyServiceAccount{expiration})
		for range 2 {
			mutation, err := mutator.Mutate(t.Context(), &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
				Resource:  &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
				Operation: admissionv1.Operation_OPERATION_CREATE,
				Object:    object,
			}})
			if err != nil || mutation == nil {
				return
			}
			operations, err := mutation.Patch.Operations()
			if err != nil {
				t.Fatal(err)
			}
			if len(operations) == 0 {
				return
			}
			object = sdktest.Apply(t, object, operations)
		}
		t.Errorf("a second pass changed the pod again: %s", object)
	})
}
