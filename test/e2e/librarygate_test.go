package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/test/internal/harness"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// askGate puts a gate before kube-apiserver, with a validator for each set, which sees only the namespaces of
// its cases, and asks about them all.
func (w *libraryWorld) askGate(t *testing.T, sets []*librarySet) map[*libraryCase]libraryAnswer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	source := cluster.Source{Kubeconfig: w.controlPlane.Kubeconfig}
	validators := map[string]net.Addr{}
	done := make(chan error)
	running := 0
	for _, s := range sets {
		if s.mutates() {
			continue
		}
		listener := must(new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"))(t)
		validators[s.label] = listener.Addr()
		config := &validatorsvc.Config{Policy: validatorsvc.PolicyConfig{Paths: []string{w.write(t, s)}}}
		config.SetDefaults()
		running++
		go func() { done <- validatorsvc.Run(ctx, validatorsvc.Options{Config: config, Listener: listener, Source: source}) }()
	}
	address := must(harness.FreeAddress())(t)
	config := must(gateway.ParseConfig("gateway.yaml", []byte(w.gateConfig(t, address, sets))))(t)
	running++
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config: config, Source: source,
			DialInproc: func(ctx context.Context, b gateway.Backend) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", validators[b.Name].String())
			},
		})
	}()
	defer func() {
		stop()
		for range running {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()

	url, none, fail := "https://"+address+"/validate", admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	hooks := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	must(hooks.Create(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "library"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "validate.gatefold.dev", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: w.pki.CA},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "library", Operator: metav1.LabelSelectorOpExists},
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
			}},
		}},
	}, metav1.CreateOptions{}))(t)
	answers := map[*libraryCase]libraryAnswer{}
	for _, s := range sets {
		if s.mutates() {
			continue
		}
		for _, c := range s.cases {
			if c.unfit != "" {
				continue
			}
			want := differently[s.file+"/"+c.Name] == ""
			eventually(t, func() error {
				answers[c] = w.ask(t, c)
				if answers[c].By == "API" {
					c.unfit = answers[c].Message
					return nil
				}
				if text := answers[c].misses(c); want && text != "" {
					return fmt.Errorf("%s: %s: the gate: %s", s.file, c.Name, text)
				}
				return nil
			})
		}
	}
	if err := hooks.Delete(ctx, "library", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	return answers
}

// write writes a set's policies into a file.
func (w *libraryWorld) write(t *testing.T, s *librarySet) string {
	t.Helper()
	var b strings.Builder
	for _, p := range s.policies {
		b.Write(must(json.Marshal(p.Object))(t))
		b.WriteString("\n---\n")
	}
	file := filepath.Join(w.dir, s.label+".yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (w *libraryWorld) gateConfig(t *testing.T, address string, sets []*librarySet) string {
	t.Helper()
	server := must(w.pki.Server("gateway"))(t)
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: gatefold.dev/v1alpha1
kind: GatewayConfig
listen:
  address: %s
  tls: {certFile: %s, keyFile: %s}
  clientAuth: {caFile: %s, subjects: [kube-apiserver]}
admin: {address: %s}
drainSeconds: 0
backends:
`, address, server.CertFile, server.KeyFile, w.pki.CAFile, must(harness.FreeAddress())(t))
	for _, s := range sets {
		if s.mutates() {
			continue
		}
		fmt.Fprintf(&b, `- name: %s
  type: Validator
  endpoint: inproc://%[1]s
  handler: policy
  rules: [{operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"]}]
  namespaceSelector: {matchLabels: {library: %[1]s}}
`, s.label)
	}
	return b.String()
}
