package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

var update = flag.Bool("update", false, "write the golden files")

// gate is a kind as the programs declare them, with the API types that their configurations embed.
type gate struct {
	config.TypeMeta `json:",inline"`

	Listen   config.Listen `json:"listen"`
	Admin    *config.Admin `json:"admin,omitempty"`
	Backends []backend     `json:"backends"`
}

type backend struct {
	Name              string                                       `json:"name"`
	Endpoint          string                                       `json:"endpoint"`
	TLS               *config.ClientTLS                            `json:"tls,omitempty"`
	Rules             []admissionregistrationv1.RuleWithOperations `json:"rules,omitempty"`
	MatchConditions   []admissionregistrationv1.MatchCondition     `json:"matchConditions,omitempty"`
	NamespaceSelector *metav1.LabelSelector                        `json:"namespaceSelector,omitempty"`
	TimeoutSeconds    *int32                                       `json:"timeoutSeconds,omitempty"`
	Idle              *metav1.Duration                             `json:"idle,omitempty"`
	Required          bool                                         `json:"required,omitempty"`
	Labels            map[string]string                            `json:"labels,omitempty"`
}

func (g *gate) SetDefaults() {
	if g.Admin == nil {
		g.Admin = &config.Admin{Address: "127.0.0.1:8080"}
	}
}

func (g *gate) ResolvePaths(resolve func(string) string) {
	g.Listen.ResolvePaths(resolve)
	for _, b := range g.Backends {
		b.TLS.ResolvePaths(resolve)
	}
}

func (g *gate) Validate() field.ErrorList {
	errs := g.Listen.Validate(field.NewPath("listen"))
	errs = append(errs, g.Admin.Validate(field.NewPath("admin"))...)
	names := map[string]bool{}
	for i, b := range g.Backends {
		path := field.NewPath("backends").Index(i)
		if b.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), "give it a name"))
		}
		if names[b.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), b.Name))
		}
		names[b.Name] = true
		if b.TLS != nil {
			errs = append(errs, b.TLS.Validate(path.Child("tls"))...)
		}
		for key, value := range b.Labels {
			if value == "bad" {
				errs = append(errs, field.Invalid(path.Child("labels").Key(key), value, "choose another"))
			}
		}
	}
	return errs
}

func TestParse(t *testing.T) {
	data, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse[gate]("/etc/gatefold/gatefold.yaml", data, config.GatewayConfig)
	if err != nil {
		t.Fatal(err)
	}

	timeout, scope := int32(2), admissionregistrationv1.NamespacedScope
	rule := admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{"CREATE"},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: &scope},
	}
	want := &gate{
		TypeMeta: config.TypeMeta{APIVersion: config.APIVersion, Kind: config.GatewayConfig},
		Listen: config.Listen{
			Address: "127.0.0.1:8443",
			TLS:     &config.TLS{CertFile: "/etc/gatefold/tls.crt", KeyFile: "/secrets/tls.key"},
			ClientAuth: &config.ClientAuth{
				CAFile: "/etc/apiserver-ca.crt", Subjects: []string{"kube-apiserver"},
			},
		},
		Admin: &config.Admin{Address: "127.0.0.1:8080"},
		Backends: []backend{
			{
				Name: "identity", Endpoint: "dns:///identity:9443", TimeoutSeconds: &timeout, Required: true,
				TLS:   &config.ClientTLS{Mode: config.None},
				Rules: []admissionregistrationv1.RuleWithOperations{rule},
				NamespaceSelector: &metav1.LabelSelector{
					MatchLabels: map[string]string{"team": "yes", "since": "2026-11-23", "on": "on"},
				},
				MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "not-system", Expression: "!request.namespace.startsWith('kube-')"}},
			},
			{
				Name: "labels", Endpoint: "dns:///labels:9443", TimeoutSeconds: &timeout, Required: true,
				Rules: []admissionregistrationv1.RuleWithOperations{rule},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

// TestProblems compares the messages for each testdata/bad/NAME.yaml with NAME.txt.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse[gate](filepath.Base(file), data, config.GatewayConfig)
			var problems config.Problems
			var first config.Problem
			if !errors.As(err, &problems) || !errors.As(err, &first) {
				t.Fatalf("Parse: %v, want Problems", err)
			}
			if len(problems) == 0 || first != problems[0] {
				t.Errorf("first problem %v of %v", first, problems)
			}
			got := err.Error() + "\n"
			if lines := strings.Count(got, "\n"); lines != len(problems) {
				t.Errorf("%d lines for %d problems", lines, len(problems))
			}
			sdktest.Golden(t, strings.TrimSuffix(file, ".yaml")+".txt", got, *update)
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	_, err := config.Load[gate](filepath.Join(t.TempDir(), "absent.yaml"), config.GatewayConfig)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load: %v, want not exist", err)
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct{ config, path, want string }{
		{"/etc/gatefold/g.yaml", "tls.crt", "/etc/gatefold/tls.crt"},
		{"/etc/gatefold/g.yaml", "../ca.crt", "/etc/ca.crt"},
		{"/etc/gatefold/g.yaml", "/tls.crt", "/tls.crt"},
		{"/etc/gatefold/g.yaml", "", ""},
		{"g.yaml", "tls.crt", "tls.crt"},
	} {
		if got := config.Resolve(c.config, c.path); got != c.want {
			t.Errorf("Resolve(%q, %q) = %q, want %q", c.config, c.path, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	bad, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range append(files, bad...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := config.Parse[gate]("f.yaml", data, config.GatewayConfig)
		var problems config.Problems
		switch {
		case err == nil && got == nil:
			t.Fatal("neither a document nor an error")
		case err == nil:
		case !errors.As(err, &problems) || len(problems) == 0:
			t.Fatalf("%T without a problem", err)
		default:
			lines := 1
			for _, r := range string(data) {
				if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) { // what YAML 1.1 takes for the end of a line
					lines++
				}
			}
			for _, p := range problems {
				if p.Line < 1 || p.Line > lines+1 {
					t.Errorf("line %d of %d: %s", p.Line, lines, p.Message)
				}
			}
		}
	})
}
