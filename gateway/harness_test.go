package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	admissionapi "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"

	"github.com/gatefold/gatefold/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a running gate and a client that trusts it.
type gate struct {
	url       string
	client    *http.Client
	metrics   http.Handler
	decisions chan *gatewayv1.Decision // the last ones
	shadows   chan *gatewayv1.Step     // what shadows would have done
}

// services are what backends of type Mutator and Validator reach, by handler name.
type services struct {
	mutators   map[string]sdk.Mutator
	validators map[string]sdk.Validator
}

// start runs a gate with the backends of cfg in front of services until the test ends. protocol is h2 or
// http/1.1.
func start(t *testing.T, protocol string, backends []gateway.Backend, s services) gate {
	t.Helper()
	cfg := &gateway.Config{Backends: append([]gateway.Backend{}, backends...)}
	cfg.SetDefaults()
	drain := int32(0)
	cfg.DrainSeconds = &drain
	cfg.Limits.ReviewBytes = 24 << 20

	server := sdktest.Listen(t)
	grpcServer := sdk.NewServer(sdk.Config{Name: "test", Mutators: s.mutators, Validators: s.validators})
	grpc_health_v1.RegisterHealthServer(grpcServer, health.NewServer())
	go func() { _ = grpcServer.Serve(server) }()
	t.Cleanup(grpcServer.Stop)

	ca, err := throwaway.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tel, err := telemetry.New(ctx, telemetry.Config{Service: gateway.Name, Logs: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	decisions := make(chan *gatewayv1.Decision, 1000)
	shadows := make(chan *gatewayv1.Step, 1000)
	done := make(chan error, 1)
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config:   cfg,
			Listener: listener,
			TLS:      &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12},
			DialInproc: func(ctx context.Context, b gateway.Backend) (net.Conn, error) {
				if b.Endpoint == "inproc://down" {
					return nil, errors.New("nobody is there")
				}
				return server.DialContext(ctx)
			},
			Telemetry: tel,
			OnDecision: func(_ context.Context, req *admissionv1.AdmissionRequest, decision *gatewayv1.Decision) {
				if req.GetUid() != "gatefold-self-test" {
					decisions <- decision
				}
			},
			OnShadow: func(_ context.Context, _ *admissionv1.AdmissionRequest, step *gatewayv1.Step) { shadows <- step },
		})
	}()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == "http/1.1")
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}, Protocols: protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the gate ended with %v", err)
		}
		if err := tel.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return gate{
		url:       "https://" + listener.Addr().String(),
		metrics:   tel.Metrics,
		decisions: decisions,
		shadows:   shadows,
		client: &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			t.Errorf("the gate redirected to %s", r.URL)
			return http.ErrUseLastResponse
		}},
	}
}

// answer is an HTTP answer, and the AdmissionReview in it where it is one.
type answer struct {
	code   int
	header http.Header
	text   string
	review *admissionapi.AdmissionReview
}

func (g gate) post(t *testing.T, path string, body []byte) answer {
	t.Helper()
	return g.do(t, http.MethodPost, path, "application/json", bytes.NewReader(body))
}

func (g gate) do(t *testing.T, method, path, contentType string, body io.Reader) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{code: resp.StatusCode, header: resp.Header, text: strings.TrimSpace(string(data))}
	if resp.StatusCode == http.StatusOK {
		out.review = &admissionapi.AdmissionReview{}
		if err := json.Unmarshal(data, out.review); err != nil {
			t.Fatalf("the answer is no AdmissionReview: %v: %s", err, data)
		}
	}
	return out
}

// decision returns the next decision that the gate has made.
func (g gate) decision(t *testing.T) *gatewayv1.Decision {
	t.Helper()
	select {
	case decision := <-g.decisions:
		return decision
	case <-time.After(10 * time.Second):
		t.Fatal("no decision was made")
		return nil
	}
}

// awaitMetric waits until the gate has measured this, as Prometheus reads it, whatever other labels there are.
func (g gate) awaitMetric(t *testing.T, want string) {
	t.Helper()
	scope := regexp.MustCompile(`,?otel_scope_[a-z_]+="[^"]*"`)
	deadline := time.Now().Add(10 * time.Second)
	for {
		w := httptest.NewRecorder()
		g.metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text := scope.ReplaceAllString(w.Body.String(), "")
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			name, _, _ := strings.Cut(want, "{")
			t.Fatalf("no metric %s, but:\n%s", want, strings.Join(regexp.MustCompile("(?m)^"+name+".*$").FindAllString(text, -1), "\n"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func everything() []admissionregistrationv1.RuleWithOperations {
	all := "*"
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{all}, APIVersions: []string{all}, Resources: []string{"*", "*/*"}},
	}}
}

func mutator(name string) gateway.Backend {
	return gateway.Backend{Name: name, Type: gateway.Mutator, Endpoint: "inproc://x", Rules: everything()}
}

func validator(name string) gateway.Backend {
	return gateway.Backend{Name: name, Type: gateway.Validator, Endpoint: "inproc://x", Rules: everything()}
}

func ignored(b gateway.Backend) gateway.Backend {
	ignore := admissionregistrationv1.Ignore
	b.FailurePolicy = &ignore
	return b
}

func timeout(b gateway.Backend, seconds int32) gateway.Backend {
	b.TimeoutSeconds = &seconds
	return b
}

// label returns a mutator that sets one label of any object.
func label(key, value string) sdk.Mutator {
	return sdk.MutatorFunc(func(_ context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		var object struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		if err := r.Decode(&object); err != nil {
			return nil, err
		}
		m := &sdk.Mutation{}
		if object.Metadata.Labels == nil {
			m.Patch.Add("/metadata/labels", map[string]string{})
		}
		m.Patch.Add(sdk.Pointer("metadata", "labels", key), value)
		return m, nil
	})
}

func refuse(reason string) sdk.Validator {
	return sdk.ValidatorFunc(func(context.Context, *sdk.Request) (*sdk.Verdict, error) {
		return &sdk.Verdict{Denials: []*admissionv1.Denial{sdk.Deny("%s", reason)}, Warnings: []string{"mind " + reason}}, nil
	})
}

func recorded(t *testing.T, pattern string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("internal", "codec", "testdata", "reviews", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded review is called %s (%v)", pattern, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func patches(pointer string, value any) sdk.Mutator {
	return sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) {
		m := &sdk.Mutation{}
		m.Patch.Add(pointer, value)
		return m, nil
	})
}

func allow() sdk.Validator {
	return sdk.ValidatorFunc(func(context.Context, *sdk.Request) (*sdk.Verdict, error) { return nil, nil })
}

func after(b gateway.Backend, names ...string) gateway.Backend {
	b.After = names
	return b
}

func at(b gateway.Backend, endpoint string) gateway.Backend {
	b.Endpoint = endpoint
	return b
}
