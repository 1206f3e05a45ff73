// Package identitytest tests the profiles of identity: by recordings of what the reference webhooks made of the
// same pods. Cases in YAML are in mutator-svc/tests.
package identitytest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/version"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// Namespace is where all pods of tests are created.
const Namespace = "default"

// ServiceAccount is one that exists, for the lookup of a test.
func ServiceAccount(name string, annotations map[string]string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name, Annotations: annotations}}
}

// One knows at most one ServiceAccount, and answers at once.
type One struct{ ServiceAccount *corev1.ServiceAccount }

// Get implements identity.ServiceAccounts.
func (o One) Get(_ context.Context, namespace, name string, _ time.Duration) (*corev1.ServiceAccount, error) {
	if o.ServiceAccount == nil || o.ServiceAccount.Namespace != namespace || o.ServiceAccount.Name != name {
		return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
	}
	return o.ServiceAccount, nil
}

// Version is a kube-apiserver of this version, for identity.Sources. Empty: there is none.
func Version(git string) func(context.Context) (*version.Info, error) {
	if git == "" {
		return nil
	}
	return func(context.Context) (*version.Info, error) { return &version.Info{GitVersion: git}, nil }
}

// Answer is what came of a pod.
type Answer struct {
	// Object is the pod after the patch; as it was where it is denied.
	Object []byte
	// Operations are the patch.
	Operations []*admissionv1.PatchOperation
	// Warnings are for the user.
	Warnings []string
	// Denial is nil where the pod is let in.
	Denial *admissionv1.Denial
}

// New returns the mutator of a configuration, whose defaults it sets.
func New(t testing.TB, cfg identity.Config, from identity.Sources) *identity.Mutator {
	t.Helper()
	cfg.SetDefaults()
	if errs := cfg.Validate(field.NewPath("identity")); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	mutator, err := identity.New(cfg, from)
	if err != nil {
		t.Fatal(err)
	}
	return mutator
}

// Inject sends the pod through the mutator, applies what comes back as kube-apiserver would, and sees that
// a second pass has nothing to add.
func Inject(t testing.TB, mutator sdk.Mutator, pod []byte) Answer {
	t.Helper()
	first := Pass(t, mutator, pod)
	if again := Pass(t, mutator, first.Object); first.Denial == nil && len(again.Operations) > 0 {
		t.Errorf("a second pass would still change the pod: %v", again.Operations)
	}
	return first
}

// Pass is one pass of Inject.
func Pass(t testing.TB, mutator sdk.Mutator, pod []byte) Answer {
	t.Helper()
	mutation, err := mutator.Mutate(t.Context(), Request(pod))
	switch {
	case err != nil:
		t.Fatalf("Mutate: %v", err)
	case mutation == nil:
		return Answer{Object: pod}
	case mutation.Denial != nil:
		return Answer{Object: pod, Warnings: mutation.Warnings, Denial: mutation.Denial}
	}
	operations, err := mutation.Patch.Operations()
	if err != nil {
		t.Fatalf("Patch: %v", err)
	}
	return Answer{Object: sdktest.Apply(t, pod, operations), Operations: operations, Warnings: mutation.Warnings}
}

// Typed is a pod as programs see it.
func Typed(t testing.TB, object []byte) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(object, &pod); err != nil {
		t.Fatalf("decoding %s: %v", object, err)
	}
	return pod
}

// Request asks for a pod to be created.
func Request(pod []byte) *sdk.Request {
	return &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
		Resource:  &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Namespace: Namespace,
		Operation: admissionv1.Operation_OPERATION_CREATE,
		Object:    pod,
	}}
}

// Everyone finds a ServiceAccount with these annotations for whoever asks.
type Everyone map[string]string

// Get implements identity.ServiceAccounts.
func (e Everyone) Get(_ context.Context, namespace, name string, _ time.Duration) (*corev1.ServiceAccount, error) {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: e}}, nil
}
