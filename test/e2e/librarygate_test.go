package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/test/internal/harness"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// askGate puts a gate before kube-apiserver, with a validator or mutator for each set, which sees only what is of
// its cases, and asks about them all.
func (w *libraryWorld) askGate(t *testing.T, sets []*librarySet, controls map[*libraryCase]*unstructured.Unstructured) map[*libraryCase]libraryAnswer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	source := cluster.Source{Kubeconfig: w.controlPlane.Kubeconfig}
	services := map[string]net.Addr{}
	done := make(chan error)
	running := 0
	for _, s := range sets {
		listener := must(new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"))(t)
		services[s.label] = listener.Addr()
		running++
		go func() { done <- s.serve(ctx, t, w.write(t, s), listener, source) }()
	}
	address := must(harness.FreeAddress())(t)
	config := must(gateway.ParseConfig("gateway.yaml", []byte(w.gateConfig(t, address, sets))))(t)
	running++
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config: config, Source: source,
			DialInproc: func(ctx context.Context, b gateway.Backend) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", services[b.Name].String())
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

	unregister := w.registerLibrary(t, address)
	defer unregister()
	answers := map[*libraryCase]libraryAnswer{}
	for _, s := range sets {
		for _, c := range s.cases {
			if c.unfit != "" {
				continue
			}
			eventually(t, func() error {
				answers[c] = w.ask(t, c)
				if answers[c].By == "API" {
					c.unfit = answers[c].Message
					return nil
				}
				if text := answers[c].misses(c) + answers[c].cameOut(controls[c]); text != "" {
					return fmt.Errorf("%s: %s: the gate: %s", s.file, c.Name, text)
				}
				return nil
			})
		}
	}
	return answers
}

// serve is the service that has the policies of a file.
func (s *librarySet) serve(ctx context.Context, t *testing.T, file string, listener net.Listener, source cluster.Source) error {
	if !s.mutates() {
		config := &validatorsvc.Config{Policy: validatorsvc.PolicyConfig{Paths: []string{file}}}
		config.SetDefaults()
		return validatorsvc.Run(ctx, validatorsvc.Options{Config: config, Listener: listener, Source: source})
	}
	config := filepath.Join(t.TempDir(), "mutator.yaml")
	text := fmt.Sprintf("apiVersion: gatefold.dev/v1alpha1\nkind: MutatorConfig\npolicy: {paths: [%s]}\n", file)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	return mutatorsvc.Run(ctx, mutatorsvc.Options{ConfigFile: config, Listener: listener, Source: source})
}

// registerLibrary makes kube-apiserver ask the gate at address about everything in the namespaces of cases.
func (w *libraryWorld) registerLibrary(t *testing.T, address string) (unregister func()) {
	t.Helper()
	none, fail := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	versions := []string{"v1"}
	selector := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "library", Operator: metav1.LabelSelectorOpExists}}}
	rules := []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
	}}
	at := func(path string) admissionregistrationv1.WebhookClientConfig {
		url := "https://" + address + path
		return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: w.pki.CA}
	}
	api := w.client.AdmissionregistrationV1()
	must(api.MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "library"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "mutate.gatefold.dev", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: versions,
			ClientConfig: at("/mutate"), NamespaceSelector: selector, Rules: rules,
		}},
	}, metav1.CreateOptions{}))(t)
	must(api.ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "library"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "validate.gatefold.dev", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: versions,
			ClientConfig: at("/validate"), NamespaceSelector: selector, Rules: rules,
		}},
	}, metav1.CreateOptions{}))(t)
	return func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(api.MutatingWebhookConfigurations().Delete(ctx, "library", metav1.DeleteOptions{}),
			api.ValidatingWebhookConfigurations().Delete(ctx, "library", metav1.DeleteOptions{})); err != nil {
			t.Error(err)
		}
	}
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
		kind, selector := "Validator", "namespaceSelector"
		if s.mutates() {
			kind = "Mutator"
		}
		if s.wide {
			selector = "objectSelector"
		}
		fmt.Fprintf(&b, `- name: %s
  type: %s
  endpoint: inproc://%[1]s
  handler: policy
  rules: [{operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"]}]
  %[3]s: {matchLabels: {library: %[1]s}}
`, s.label, kind, selector)
	}
	return b.String()
}
