package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testDenial(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{gate: g, labels: map[string]string{"strict": "true"}})
	c := w.client(t, nil)
	_, err := c.createPod(t, ns, pod("careless"))
	status := statusOf(t, err)
	for _, want := range []string{
		`admission webhook "validate.gatefold.dev" denied the request`, // a denial, and by whom
		"set the label owner to the team that answers for this pod",
		"set a memory limit for main",
	} {
		if !strings.Contains(status.Message, want) {
			t.Errorf("the refusal does not say %q, but:\n%s", want, status.Message)
		}
	}
	if status.Code < 400 || status.Code >= 500 {
		t.Errorf("code %d, want one that blames the request", status.Code)
	}
	absent(t, c, ns, "careless")
}

func testOptionalBackendDown(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{gate: g, labels: map[string]string{"absent": "optional"}})
	c := w.client(t, nil)
	stored := must(c.createPod(t, ns, pod("lucky")))(t)
	if stored.Labels["stamped-by"] != "gatefold" {
		t.Errorf("the backends that are up changed nothing: labels %v", stored.Labels)
	}
	warned := strings.Join(c.warnings.take(), "\n")
	for _, backend := range []string{"absent-optional-mutator", "absent-optional-validator"} {
		if !strings.Contains(warned, backend) {
			t.Errorf("no warning names %s; the warnings were:\n%s", backend, warned)
		}
	}
}

func testRequiredMutatorDown(t *testing.T, w *world, g *gate) {
	failsAsError(t, w, g, "required-mutator", "mutate.gatefold.dev", "absent-mutator")
}

func testRequiredValidatorDown(t *testing.T, w *world, g *gate) {
	failsAsError(t, w, g, "required-validator", "validate.gatefold.dev", "absent-validator")
}

func failsAsError(t *testing.T, w *world, g *gate, absentBackend, webhook, backend string) {
	t.Helper()
	ns := w.namespace(t, registration{gate: g, labels: map[string]string{"absent": absentBackend}})
	c := w.client(t, nil)
	_, err := c.createPod(t, ns, pod("unlucky"))
	status := statusOf(t, err)
	if status.Code != http.StatusInternalServerError || status.Reason != metav1.StatusReasonInternalError {
		t.Errorf("code %d, reason %q, want 500 and InternalError", status.Code, status.Reason)
	}
	for _, want := range []string{`failed calling webhook "` + webhook + `"`, backend} {
		if !strings.Contains(status.Message, want) {
			t.Errorf("the error does not say %q, but:\n%s", want, status.Message)
		}
	}
	if strings.Contains(status.Message, "denied the request") {
		t.Errorf("an error was spelled as a denial:\n%s", status.Message)
	}
	absent(t, c, ns, "unlucky")
}

// testErrorUnderIgnore shows why an error must not be spelled as a denial: only an error leaves the
// decision to the failure policy of the registration.
func testErrorUnderIgnore(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{
		gate: g, failurePolicy: admissionregistrationv1.Ignore, labels: map[string]string{"absent": "required-mutator"},
	})
	must(w.client(t, nil).createPod(t, ns, pod("let-through")))(t)
}

// statusOf ends the test unless err is an answer of the apiserver.
func statusOf(t *testing.T, err error) metav1.Status {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("got %v, want a refusal by kube-apiserver", err)
	}
	return status.Status()
}

func absent(t *testing.T, c *client, ns, name string) {
	t.Helper()
	var stored *corev1.Pod
	stored, err := c.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("pod %s: got %v, %v, want not found", name, stored, err)
	}
}
