package validatorsvc

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const policyFile = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  validations: [{expression: "EXPRESSION", message: "MESSAGE"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: p}
spec: {policyName: p, validationActions: [Deny]}
`

const configFile = `
apiVersion: gatefold.dev/v1alpha1
kind: ValidatorConfig
policy: {paths: [PATH]}
`

// service is a running validator.
type service struct {
	dir    string
	logs   *logs
	client admissionv1.ValidatorServiceClient
}

// start runs the service with a configuration file in a folder of its own, until the test ends.
func start(t *testing.T) *service {
	t.Helper()
	s := &service{dir: t.TempDir(), logs: &logs{}}
	s.write(t, "policies/p.yaml", policyText("false", "first"))
	s.write(t, "gatefold.yaml", strings.ReplaceAll(configFile, "PATH", "policies"))

	tel := telemetry.Discard()
	tel.Logger = slog.New(slog.NewTextHandler(s.logs, nil))
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{ConfigFile: filepath.Join(s.dir, "gatefold.yaml"), Listener: listener, Telemetry: tel})
	}()
	conn, err := grpc.NewClient("passthrough:validator",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	s.client = admissionv1.NewValidatorServiceClient(conn)
	return s
}

func policyText(expression, message string) string {
	return strings.NewReplacer("EXPRESSION", expression, "MESSAGE", message).Replace(policyFile)
}

func (s *service) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// answer returns the message of the denial; empty when allowed.
func (s *service) answer(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	response, err := s.client.Validate(ctx, &admissionv1.ValidateRequest{Handler: Policy, Request: sdk.SelfTestRequest()}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if len(response.GetDenials()) == 0 {
		return ""
	}
	return response.GetDenials()[0].GetMessage()
}

// eventually waits until what is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestReload(t *testing.T) {
	s := start(t)
	const first = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: first"
	if got := s.answer(t); got != first {
		t.Fatalf("at the beginning: %q", got)
	}

	s.write(t, "policies/p.yaml", policyText("false", "second"))
	eventually(t, "a changed policy takes effect", func() bool { return strings.HasSuffix(s.answer(t), "second") })

	s.write(t, "policies/p.yaml", policyText("1 +", "third"))
	eventually(t, "a bad policy is logged with its place and reason", func() bool {
		log := s.logs.String()
		return strings.Contains(log, "the last good one stays in force") &&
			strings.Contains(log, "p.yaml:7: spec.validations[0].expression: ValidatingAdmissionPolicy 'p': compilation failed: ERROR: <input>:1:4: Syntax error")
	})
	if got := s.answer(t); !strings.HasSuffix(got, "second") {
		t.Fatalf("after a bad policy: %q", got)
	}

	// Another folder, which is watched from then on, also when it is not good at first.
	s.write(t, "others/p.yaml", policyText("2 +", ""))
	s.write(t, "gatefold.yaml", strings.ReplaceAll(configFile, "PATH", "others"))
	eventually(t, "the new folder is looked at", func() bool { return strings.Contains(s.logs.String(), "others/p.yaml:7") })
	s.write(t, "others/p.yaml", policyText("false", "fourth"))
	eventually(t, "the new folder takes effect", func() bool { return strings.HasSuffix(s.answer(t), "fourth") })
	s.write(t, "others/p.yaml", policyText("true", "fifth"))
	eventually(t, "the new folder is watched", func() bool { return s.answer(t) == "" })

	s.write(t, "gatefold.yaml", "kind: [")
	eventually(t, "a bad configuration is logged", func() bool { return strings.Contains(s.logs.String(), "gatefold.yaml:1: not YAML") })
	if got := s.answer(t); got != "" {
		t.Fatalf("after a bad configuration: %q", got)
	}
}

// What is served is decided at the start. A configuration without policies must not let everything pass until then.
func TestReloadWithoutPolicies(t *testing.T) {
	s := start(t)
	s.answer(t) // it has started
	s.write(t, "gatefold.yaml", "apiVersion: gatefold.dev/v1alpha1\nkind: ValidatorConfig\nvalidators: [snapshot]\nsnapshot: {}\n")
	eventually(t, "the log says what to do", func() bool { return strings.Contains(s.logs.String(), "policy is served and has no paths any more") })
	if got := s.answer(t); !strings.HasSuffix(got, "first") {
		t.Errorf("got %q", got)
	}
}

// logs is a writer that can be read while it is written.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A policy that asks for something of the cluster which is not known is an error of the requests that it is about,
// and keeps no service from becoming ready.
func TestSelfTestWithoutCluster(t *testing.T) {
	s := start(t)
	s.write(t, "policies/p.yaml", policyText("namespaceObject.status.phase == 'Active'", "m"))
	eventually(t, "a policy about the whole namespace answers the self-test", func() bool { return s.answer(t) == "" })
	request := sdk.SelfTestRequest()
	request.Uid = "another"
	_, err := s.client.Validate(t.Context(), &admissionv1.ValidateRequest{Handler: Policy, Request: request})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
}

func TestRefusedAtStart(t *testing.T) {
	cases := map[string]struct{ config, policy, want string }{
		"no paths":          {config: "apiVersion: gatefold.dev/v1alpha1\nkind: ValidatorConfig\n", want: "policy.paths"},
		"an unknown field":  {config: strings.ReplaceAll(configFile, "PATH", "p.yaml") + "polices: {}\n", want: "gatefold.yaml:5: polices: unknown field"},
		"another validator": {config: strings.ReplaceAll(configFile, "PATH", "p.yaml") + "validators: [policy, police]\n", want: "validators[1]"},
		"a missing folder":  {config: strings.ReplaceAll(configFile, "PATH", "gone"), want: "gone: no such file"},
		"a bad policy":      {config: strings.ReplaceAll(configFile, "PATH", "p.yaml"), policy: policyText("1 +", ""), want: "p.yaml:7: spec.validations[0].expression"},
		"a bad policy beside others": {
			config: strings.ReplaceAll(configFile, "PATH", "p.yaml") + "quota: {rules: [{name: pods, apiVersion: v1, kind: Pod, max: 3}]}\nsnapshot: {}\n",
			policy: policyText("1 +", ""), want: "p.yaml:7: spec.validations[0].expression",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &service{dir: t.TempDir()}
			s.write(t, "gatefold.yaml", c.config)
			s.write(t, "p.yaml", c.policy)
			known, err := cluster.FromObjects()
			if err != nil {
				t.Fatal(err)
			}
			err = Run(t.Context(), Options{ConfigFile: filepath.Join(s.dir, "gatefold.yaml"), Cluster: known, Telemetry: telemetry.Discard()})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}
