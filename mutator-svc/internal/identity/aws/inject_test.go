package aws_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kubejson "sigs.k8s.io/json"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

const namespace = "default"

// oneServiceAccount knows at most one ServiceAccount.
type oneServiceAccount struct{ sa *corev1.ServiceAccount }

func (o oneServiceAccount) Get(_ context.Context, ns, name string) (*corev1.ServiceAccount, error) {
	if o.sa == nil || o.sa.Namespace != ns || o.sa.Name != name {
		return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
	}
	return o.sa, nil
}

type injected struct {
	object     []byte
	operations []*admissionv1.PatchOperation
	warnings   []string
}

// inject sends the pod through the whole identity mutator, applies what comes back as kube-apiserver
// would, and sees that a second pass has nothing to add.
func inject(t *testing.T, cfg aws.Config, sa *corev1.ServiceAccount, pod []byte) injected {
	t.Helper()
	mutator := identity.New(identity.Config{AWS: &cfg}, oneServiceAccount{sa})
	first := pass(t, mutator, pod)
	if again := pass(t, mutator, first.object); len(again.operations) > 0 {
		t.Errorf("a second pass would still change the pod: %v", again.operations)
	}
	return first
}

func pass(t *testing.T, mutator sdk.Mutator, pod []byte) injected {
	t.Helper()
	mutation, err := mutator.Mutate(t.Context(), &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
		Resource:  &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Namespace: namespace,
		Operation: admissionv1.Operation_OPERATION_CREATE,
		Object:    pod,
	}})
	if err != nil {
		t.Fatalf("Mutate: %v", err)
	}
	if mutation == nil {
		return injected{object: pod}
	}
	operations, err := mutation.Patch.Operations()
	if err != nil {
		t.Fatalf("Patch: %v", err)
	}
	for _, op := range operations {
		if op.GetOp() != admissionv1.PatchOp_PATCH_OP_ADD {
			t.Errorf("operation %v, want only additions", op)
		}
	}
	return injected{sdktest.Apply(t, pod, operations), operations, mutation.Warnings}
}

func decode(t testing.TB, object []byte) any {
	t.Helper()
	var value any
	if err := kubejson.UnmarshalCaseSensitivePreserveInts(object, &value); err != nil {
		t.Fatalf("decoding %s: %v", object, err)
	}
	return value
}
