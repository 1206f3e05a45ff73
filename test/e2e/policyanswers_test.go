package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	validatingupstream "k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	"github.com/gatefold/gatefold/test/internal/harness"
)

func (p *policyTest) send(t *testing.T, client *http.Client, method, path string, body []byte, headers http.Header) answer {
	t.Helper()
	req := must(http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, strings.TrimSuffix(p.controlPlane.Config.Host, "/")+path, bytes.NewReader(body)))(t)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	maps.Copy(req.Header, headers)
	resp := must(client.Do(req))(t)
	defer resp.Body.Close()
	data := must(io.ReadAll(resp.Body))(t)
	a := answer{}
	for _, w := range resp.Header["Warning"] {
		if text, err := warningText(w); err == nil {
			a.warnings = append(a.warnings, text)
		}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		a.status = &metav1.Status{Code: int32(resp.StatusCode), Message: string(data)}
		_ = json.Unmarshal(data, a.status) // or it is text
	}
	return a
}

// ignoreOrder makes the same of both what depends on the order of policies, bindings and params, of which
// kube-apiserver has none: which failure of a binding with action Audit is the first, and the values of an annotation.
func ignoreOrder(t *testing.T, there, here map[string]string) {
	t.Helper()
	for _, annotations := range []map[string]string{there, here} {
		for key, value := range annotations {
			if key != failures {
				annotations[key] = strings.Join(slices.Sorted(slices.Values(strings.Split(value, ", "))), ", ")
			}
		}
	}
	if there[failures] == "" || here[failures] == "" {
		return // told as a difference, if it is one
	}
	var first, other []validatingupstream.ValidationFailureValue
	if err := errors.Join(json.Unmarshal([]byte(there[failures]), &first), json.Unmarshal([]byte(here[failures]), &other)); err != nil {
		t.Fatal(err)
	}
	if len(first) == 1 && len(other) == 1 && (first[0].Policy != other[0].Policy || first[0].Binding != other[0].Binding) {
		delete(there, failures)
		delete(here, failures)
	}
}

func (p *policyTest) take(user string) *reviewv1.AdmissionRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	review := p.reviews[user]
	delete(p.reviews, user)
	return review
}

// decided is what policies say about a request.
type decided struct {
	Message, Reason string
	Code            int32
	Warnings        []string
	Annotations     map[string]string
}

func decisionOf(a answer, annotations map[string]string) decided {
	d := decided{Annotations: map[string]string{}}
	for key, value := range annotations {
		system := strings.Contains(key, "k8s.io/") || strings.Contains(key, "kubernetes.io/")
		if !system || strings.HasPrefix(key, "validation.policy.admission.k8s.io/") {
			d.Annotations[key] = value
		}
	}
	for _, w := range a.warnings {
		if strings.Contains(w, "ValidatingAdmissionPolicy") {
			d.Warnings = append(d.Warnings, w)
		}
	}
	if a.status == nil || a.status.Details == nil {
		return d
	}
	for _, cause := range a.status.Details.Causes {
		if strings.HasPrefix(cause.Message, "ValidatingAdmissionPolicy '") {
			d.Message, d.Reason, d.Code = cause.Message, string(a.status.Reason), a.status.Code
		}
	}
	return d
}

// audited returns the annotations of a request in the audit log.
func (p *policyTest) audited(t *testing.T, id string) map[string]string {
	t.Helper()
	var annotations map[string]string
	eventually(t, func() error {
		for line := range bytes.Lines(must(os.ReadFile(p.controlPlane.AuditLog))(t)) {
			var event struct {
				AuditID     string
				Annotations map[string]string
			}
			if bytes.Contains(line, []byte(id)) && json.Unmarshal(line, &event) == nil && event.AuditID == id {
				annotations = event.Annotations
				return nil
			}
		}
		return errors.New("the audit log does not know the request")
	})
	return annotations
}

// warningText takes the text out of a Warning header.
func warningText(header string) (string, error) {
	parsed, errs := utilnet.ParseWarningHeaders([]string{header})
	if len(errs) > 0 || len(parsed) != 1 {
		return "", errors.Join(errs...)
	}
	return parsed[0].Text, nil
}

func serverTLS(pair harness.KeyPair) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, err
}

// failures is the annotation of bindings with action Audit.
const failures = "validation.policy.admission.k8s.io/validation_failure"

// answer is what kube-apiserver says.
type answer struct {
	status   *metav1.Status // nil: it did as it was told
	warnings []string
}
