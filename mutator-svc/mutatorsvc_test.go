package mutatorsvc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	configText = `
apiVersion: gatefold.dev/v1alpha1
kind: MutatorConfig
listen: {address: 127.0.0.1:9443, clientAuth: {mode: None}}
mutators: [identity, labels]
identity: {aws: {defaultRegion: us-west-2}}
labels: {rules: [{set: {labels: {mutate: VALUE}}}]}
`
	objectsText = `
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reader
  namespace: team-a
  annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/reader'}
`
	podText = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"team-a"},` +
		`"spec":{"serviceAccountName":"reader","containers":[{"name":"app","unknown":9007199254740993}]}}`
)

// service is a running mutator with a configuration file of its own.
type service struct {
	conn *grpc.ClientConn
	file string
	logs *logs
}

func start(t *testing.T, text string, source func(folder string) cluster.Source) *service {
	t.Helper()
	folder := t.TempDir()
	s := &service{file: filepath.Join(folder, "gatefold.yaml"), logs: &logs{}}
	s.configure(t, text)
	if err := os.WriteFile(filepath.Join(folder, "objects.yaml"), []byte(objectsText), 0o600); err != nil {
		t.Fatal(err)
	}
	tel := telemetry.Discard()
	tel.Logger = slog.New(slog.NewTextHandler(s.logs, nil))
	listener := sdktest.Listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- mutatorsvc.Run(ctx, mutatorsvc.Options{
			ConfigFile: s.file, Source: source(folder), Listener: listener, Telemetry: tel,
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.conn = sdktest.Dial(t, listener)
	return s
}

func fromObjects(folder string) cluster.Source {
	return cluster.Source{ObjectFiles: []string{filepath.Join(folder, "objects.yaml")}}
}

func (s *service) configure(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *service) mutate(t *testing.T, handler string) (*admissionv1.MutateResponse, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return admissionv1.NewMutatorServiceClient(s.conn).Mutate(ctx,
		&admissionv1.MutateRequest{Handler: handler, Request: sdktest.PodRequest(t, podText)}, grpc.WaitForReady(true))
}

// label returns the stamped label.
func (s *service) label(t *testing.T) string {
	t.Helper()
	return s.labelOf(t, mutatorsvc.Labels)
}

func (s *service) labelOf(t *testing.T, handler string) string {
	t.Helper()
	response, err := s.mutate(t, handler)
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Metadata struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(sdktest.Apply(t, []byte(podText), response.GetOperations()), &pod); err != nil {
		t.Fatal(err)
	}
	return pod.Metadata.Labels["mutate"]
}

func (s *service) health(t *testing.T) grpc_health_v1.HealthCheckResponse_ServingStatus {
	t.Helper()
	response, err := grpc_health_v1.NewHealthClient(s.conn).Check(t.Context(),
		&grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	return response.GetStatus()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// logs is what a service logs, read while it goes on.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) contain(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

func TestRunServesItsMutators(t *testing.T) {
	s := start(t, configText, fromObjects)
	eventually(t, "ready", func() bool { return s.health(t) == grpc_health_v1.HealthCheckResponse_SERVING })

	if got := s.label(t); got != "VALUE" {
		t.Errorf("label %q, want VALUE", got)
	}
	response, err := s.mutate(t, mutatorsvc.Identity)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, op := range response.GetOperations() {
		paths = append(paths, op.GetPath())
	}
	want := []string{"/spec/volumes", "/spec/containers/0/env", "/spec/containers/0/volumeMounts"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	after := string(sdktest.Apply(t, []byte(podText), response.GetOperations()))
	for _, part := range []string{`"value":"us-west-2"`, `"value":"arn:aws:iam::111122223333:role/reader"`, `"unknown":9007199254740993`} {
		if !strings.Contains(after, part) {
			t.Errorf("no %s in %s", part, after)
		}
	}
	if _, err := s.mutate(t, "sidecar"); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown handler: %v, want NOT_FOUND", err)
	}
}

func TestRunReloadsAndKeepsTheLastGoodConfiguration(t *testing.T) {
	s := start(t, configText, fromObjects)
	if got := s.label(t); got != "VALUE" {
		t.Fatalf("label %q, want VALUE", got)
	}
	s.configure(t, strings.Replace(configText, "VALUE", "second", 1))
	eventually(t, "the new label", func() bool { return s.label(t) == "second" })

	s.configure(t, strings.Replace(configText, "VALUE", "'${nobody}'", 1))
	eventually(t, "the complaint", func() bool { return s.logs.contain("undeclared reference to 'nobody'") })
	if got := s.label(t); got != "second" {
		t.Errorf("label %q after a bad change, want the last good one", got)
	}

	s.configure(t, strings.NewReplacer("VALUE", "third", "9443", "9555", "[identity, labels]", "[labels]").Replace(configText))
	eventually(t, "the newest label", func() bool { return s.label(t) == "third" })
	eventually(t, "the warning", func() bool { return s.logs.contain("start the program again for the rest") })
	if _, err := s.mutate(t, mutatorsvc.Identity); err != nil {
		t.Errorf("identity, no longer named, before the restart: %v", err)
	}
}

func TestRunRefusesIdentityWithoutACluster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gatefold.yaml")
	if err := os.WriteFile(file, []byte(configText), 0o600); err != nil {
		t.Fatal(err)
	}
	err := mutatorsvc.Run(t.Context(), mutatorsvc.Options{ConfigFile: file, Listener: sdktest.Listen(t), Telemetry: telemetry.Discard()})
	if !errors.Is(err, config.ErrUnusable) || !strings.Contains(err.Error(), "identity needs the cluster's ServiceAccounts") {
		t.Errorf("Run: %v", err)
	}
}

func TestRunRefusesBadConfigurations(t *testing.T) {
	if err := mutatorsvc.Run(t.Context(), mutatorsvc.Options{}); err == nil {
		t.Error("neither a file nor a configuration, and no error")
	}
	file := filepath.Join(t.TempDir(), "gatefold.yaml")
	if err := os.WriteFile(file, []byte(strings.TrimLeft(`
apiVersion: gatefold.dev/v1alpha1
kind: MutatorConfig
mutators: [identity, sidecar, identity]
identity:
  aws: {mountPath: tokens, annotationPrefix: 'a/b', region: x}
labels:
  rules:
  - set: {labels: {a: '${user.nam}'}}
  - set: {labels: {'a b': c}}
    whenPresent: Never
`, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	err := mutatorsvc.Run(t.Context(), mutatorsvc.Options{ConfigFile: file, Telemetry: telemetry.Discard()})
	if problems := config.Problems(nil); !errors.As(err, &problems) {
		t.Fatalf("Run: %v, want config.Problems", err)
	}
	for _, want := range []string{
		`:3: mutators[1]: `, `:3: mutators[2]: `, `:5: identity.aws.mountPath: `, `:5: identity.aws.annotationPrefix: `, `:5: identity.aws.region: `,
		`:8: labels.rules[0].set.labels[a]: `, `undefined field 'nam'`, `labels.rules[1].set.labels[a b]: `, `:10: labels.rules[1].whenPresent: `,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%s", want, err)
		}
	}
}
