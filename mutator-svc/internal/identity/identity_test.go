package identity_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// serviceAccounts answers every question in the same way, for a named ServiceAccount with a role.
type serviceAccounts struct{ err error }

func (s serviceAccounts) Get(_ context.Context, namespace, name string, _ time.Duration) (*corev1.ServiceAccount, error) {
	if s.err != nil {
		return nil, s.err
	}
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{
		"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/reader",
	}}}, nil
}

func newMutator(s identity.ServiceAccounts) *identity.Mutator {
	cfg := identity.Config{AWS: &aws.Config{}}
	cfg.SetDefaults()
	m, err := identity.New(cfg, identity.Sources{ServiceAccounts: s})
	if err != nil {
		panic(err) // of files, and there are none
	}
	return m
}

func podRequest(change func(*admissionv1.AdmissionRequest)) *sdk.Request {
	req := &admissionv1.AdmissionRequest{
		Resource:  &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Namespace: "team-a",
		Operation: admissionv1.Operation_OPERATION_CREATE,
		Object:    []byte(`{"metadata":{"name":"p"},"spec":{"serviceAccountName":"reader","containers":[{"name":"app"}]}}`),
	}
	if change != nil {
		change(req)
	}
	return &sdk.Request{AdmissionRequest: req}
}

func TestMutateOnlyTouchesPodsOnCreation(t *testing.T) {
	mutator := newMutator(serviceAccounts{})
	if m, err := mutator.Mutate(t.Context(), podRequest(nil)); err != nil || m == nil || m.Patch.Empty() {
		t.Fatalf("a pod being created: %v, %v, want a patch", m, err)
	}
	for name, change := range map[string]func(*admissionv1.AdmissionRequest){
		"update": func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Operation_OPERATION_UPDATE },
		"delete": func(r *admissionv1.AdmissionRequest) {
			r.Operation, r.Object = admissionv1.Operation_OPERATION_DELETE, nil
		},
		"subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "ephemeralcontainers" },
		"other group": func(r *admissionv1.AdmissionRequest) { r.Resource.Group = "metrics.k8s.io" },
		"other kind":  func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "services" },
		"mirror pod": func(r *admissionv1.AdmissionRequest) {
			r.Object = []byte(`{"spec":{"containers":[{"name":"app"}]}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := mutator.Mutate(t.Context(), podRequest(change))
			if err != nil || m != nil {
				t.Errorf("Mutate = %v, %v, want nothing", m, err)
			}
		})
	}
}

func TestMutateAdmitsWithAWarningWhereThereIsNoServiceAccount(t *testing.T) {
	name := strings.Repeat("n", 253)
	notFound := apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
	m, err := newMutator(serviceAccounts{notFound}).Mutate(t.Context(), podRequest(func(r *admissionv1.AdmissionRequest) {
		r.Object = []byte(`{"spec":{"serviceAccountName":"` + name + `"}}`)
	}))
	if err != nil || !m.Patch.Empty() || len(m.Warnings) != 1 {
		t.Fatalf("Mutate = %v, %v, want one warning and no patch", m, err)
	}
	if warning := m.Warnings[0]; len(warning) > 120 || !strings.Contains(warning, "not found") {
		t.Errorf("warning %q (%d bytes), want at most 120 bytes that say it was not found", warning, len(warning))
	}
}

func TestMutateFailsWhereTheServiceAccountCannotBeLookedUp(t *testing.T) {
	cause := errors.New("forbidden")
	m, err := newMutator(serviceAccounts{cause}).Mutate(t.Context(), podRequest(nil))
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "ServiceAccount team-a/reader") {
		t.Errorf("Mutate = %v, %v, want an error that names the ServiceAccount", m, err)
	}
}

func TestMutateFailsOnAPodItCannotRead(t *testing.T) {
	m, err := newMutator(serviceAccounts{}).Mutate(t.Context(), podRequest(func(r *admissionv1.AdmissionRequest) {
		r.Object = []byte(`{"spec":{"serviceAccountName":"reader","containers":7}}`)
	}))
	if err == nil {
		t.Errorf("Mutate = %v, want an error", m)
	}
}

// BenchmarkMutate is what a pod of 6.6 KB costs: one whose ServiceAccount has an identity, by profile, and one
// whose ServiceAccount has none.
func BenchmarkMutate(b *testing.B) {
	object, err := os.ReadFile("pod/testdata/pod.json")
	if err != nil {
		b.Fatal(err)
	}
	labelled := bytes.Replace(object, []byte(`"labels":{`), []byte(`"labels":{"azure.workload.identity/use":"true",`), 1)
	for _, way := range []struct {
		name   string
		cfg    identity.Config
		object []byte
		from   identity.ServiceAccounts
		want   bool
	}{
		{"aws", identity.Config{AWS: &aws.Config{}}, object, everything, true},
		{"azure", identity.Config{Azure: &azure.Config{TenantID: "t"}}, labelled, everything, true},
		{"google", identity.Config{Google: &google.Config{DefaultMode: google.Direct}}, object, everything, true},
		{"tokens", identity.Config{Tokens: &tokens.Config{}}, object, everything, true},
		{"none", identity.Config{AWS: &aws.Config{}, Azure: &azure.Config{TenantID: "t"}, Google: &google.Config{}, Tokens: &tokens.Config{}}, object, identitytest.Everyone{}, false},
	} {
		b.Run(way.name, func(b *testing.B) {
			mutator := identitytest.New(b, way.cfg, identity.Sources{ServiceAccounts: way.from})
			req := podRequest(func(r *admissionv1.AdmissionRequest) { r.Object = way.object })
			b.ReportAllocs()
			for b.Loop() {
				if m, err := mutator.Mutate(b.Context(), req); err != nil || (m != nil) != way.want {
					b.Fatal(m, err)
				}
			}
		})
	}
}
