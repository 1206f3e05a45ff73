package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// libraryAnswer is what somebody who asks is told.
type libraryAnswer struct {
	By       string // webhook, policy or API: who refuses; nobody: it went wrong; empty when nobody does
	Message  string // of the policies; without them, the whole
	Code     int32
	Reason   metav1.StatusReason
	Warnings []string
	object   *unstructured.Unstructured
}

// told reads an answer of kube-apiserver.
func told(status *metav1.Status, o *unstructured.Unstructured, warnings []string) libraryAnswer {
	a := libraryAnswer{object: o}
	for _, w := range warnings {
		// The gate says in front of it which backend has it.
		a.Warnings = append(a.Warnings, w[max(0, strings.Index(w, "Validation failed for ValidatingAdmissionPolicy '")):])
	}
	if status == nil {
		return a
	}
	a.By, a.Code, a.Reason, a.Message = "API", status.Code, status.Reason, status.Message
	at := strings.Index(status.Message, "ValidatingAdmissionPolicy '")
	switch {
	case status.Code >= http.StatusInternalServerError:
		a.By = "nobody"
	case strings.Contains(status.Message, "admission webhook"):
		a.By = "webhook"
	case at >= 0:
		a.By = "policy"
	}
	if at >= 0 {
		a.Message = status.Message[at:]
	}
	return a
}

// differs says how a policy of kube-apiserver answered otherwise than the gate; empty when the same. The gate
// tells all denials, kube-apiserver the first.
func (a libraryAnswer) differs(gate libraryAnswer) string {
	switch {
	case a.By == "webhook":
		return "the gate is still asked"
	case (a.By == "") != (gate.By == ""), a.By == "policy" != (gate.By == "webhook"),
		a.Code != gate.Code, a.Reason != gate.Reason, !strings.Contains(gate.Message, a.Message),
		!slices.Equal(a.Warnings, gate.Warnings):
		return fmt.Sprintf("kube-apiserver: %+v\nthe gate:       %+v", a, gate)
	}
	return ""
}

// misses says what the case expects otherwise.
func (a libraryAnswer) misses(c *libraryCase) string {
	e := c.Expect
	message := strings.ReplaceAll(e.Message, "namespace "+c.named+" ", "namespace "+c.namespace.GetName()+" ")
	if e.Allowed != (a.By == "") || a.By == "nobody" || e.Code != 0 && e.Code != a.Code || e.Reason != "" && e.Reason != string(a.Reason) ||
		message != "" && !strings.HasSuffix(a.Message, ": "+message) ||
		e.Warnings != nil && !slices.EqualFunc(a.Warnings, e.Warnings, func(got, want string) bool { return strings.HasSuffix(got, ": "+want) }) {
		return fmt.Sprintf("want: %+v\ngot:  %+v", e, a)
	}
	return ""
}

// cameOut says how the object is not the one that was expected; nil: any will do.
func (a libraryAnswer) cameOut(want *unstructured.Unstructured) string {
	if want == nil || a.object == nil {
		return ""
	}
	if diff := cmp.Diff(want.Object, strip(a.object).Object); diff != "" {
		return "the object (-as expected +as it came out):\n" + diff
	}
	return ""
}
