package mutatorsvc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

const policyConfig = `
apiVersion: gatefold.dev/v1alpha1
kind: MutatorConfig
listen: {clientAuth: {mode: None}}
policy: {paths: [PATH]}
`

// policyText is a policy that sets the label mutate.
func policyText(expression string) string {
	return strings.ReplaceAll(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'mutate': EXPRESSION}}}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: p}
spec: {policyName: p}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: stray}
spec: {policyName: gone}
`, "EXPRESSION", expression)
}

// The policies are served without being named, followed in files and folders, and the last good ones stay.
func TestPolicies(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(folder, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configured := func(path string) string {
		return strings.ReplaceAll(policyConfig, "PATH", filepath.Join(folder, path))
	}
	write("policies/p.yaml", policyText("'first'"))
	s := start(t, configured("policies"), func(string) cluster.Source { return cluster.Source{} })
	labelled := func(want string) func() bool {
		return func() bool { return s.labelOf(t, mutatorsvc.Policy) == want }
	}
	if !labelled("first")() {
		t.Fatalf("at the beginning: %q", s.labelOf(t, mutatorsvc.Policy))
	}
	if !s.logs.contain(`MutatingAdmissionPolicyBinding 'stray' does nothing`) || !s.logs.contain("policies=[p]") {
		t.Error("the notes and the policies in force were not logged")
	}
	write("policies/p.yaml", policyText("'second'"))
	eventually(t, "a changed policy takes effect", labelled("second"))

	write("policies/p.yaml", policyText("1 +"))
	eventually(t, "a bad policy is logged with its place and reason", func() bool {
		return s.logs.contain("the last good one stays in force") &&
			s.logs.contain("p.yaml:8: spec.mutations[0].applyConfiguration.expression: MutatingAdmissionPolicy 'p': compilation failed: ERROR: <input>:1:")
	})
	if !labelled("second")() {
		t.Errorf("after a bad policy: %q", s.labelOf(t, mutatorsvc.Policy))
	}

	// Another folder, which is watched from then on, also when it is not good at first.
	write("others/p.yaml", policyText("2 +"))
	s.configure(t, configured("others"))
	eventually(t, "the new folder is looked at", func() bool { return s.logs.contain("others/p.yaml:8") })
	write("others/p.yaml", policyText("'third'"))
	eventually(t, "the new folder takes effect", labelled("third"))
}

func TestBadPoliciesAtTheStart(t *testing.T) {
	cases := map[string]struct{ paths, policy, want string }{
		"a missing folder": {paths: "[gone]", want: "gone: no such file"},
		"an empty path":    {paths: "[p.yaml, '']", policy: policyText("'x'"), want: "policy.paths[1]"},
		"no paths":         {paths: "[]\nmutators: [policy]", want: "policy.paths: "},
		"a bad policy":     {paths: "[p.yaml]", policy: policyText("1 +"), want: "p.yaml:8: spec.mutations[0].applyConfiguration.expression"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			text := strings.Replace(policyConfig, "{paths: [PATH]}", "\n  paths: "+strings.Replace(c.paths, "\n", "\n", 1), 1)
			for name, content := range map[string]string{"gatefold.yaml": text, "p.yaml": c.policy} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := mutatorsvc.Run(ctx, mutatorsvc.Options{
				ConfigFile: filepath.Join(folder, "gatefold.yaml"), Listener: sdktest.Listen(t), Telemetry: telemetry.Discard(),
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
			if problems := config.Problems(nil); c.policy != "" && !errors.As(err, &problems) {
				t.Errorf("want config.Problems, got %v", err)
			}
		})
	}
}

// What is served is decided at the start. A configuration without policies must not switch them off until then.
func TestReloadWithoutPolicies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(path, []byte(policyText("'first'")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, strings.ReplaceAll(policyConfig, "PATH", path), func(string) cluster.Source { return cluster.Source{} })
	s.labelOf(t, mutatorsvc.Policy) // it has started
	s.configure(t, strings.ReplaceAll(policyConfig, "policy: {paths: [PATH]}", "labels: {rules: [{set: {labels: {mutate: x}}}]}"))
	eventually(t, "the log says what to do", func() bool { return s.logs.contain("policy is served and has no paths any more") })
	if got := s.labelOf(t, mutatorsvc.Policy); got != "first" {
		t.Errorf("got %q", got)
	}
}
