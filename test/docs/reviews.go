package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

const (
	// patience bounds each wait: a busy machine needs some seconds.
	patience = time.Minute
	interval = 20 * time.Millisecond
	// bufferSize is that of the in-memory connections.
	bufferSize = 1 << 20
)

// observer has what one program tells.
type observer struct {
	*telemetry.Telemetry
	spans   *tracetest.SpanRecorder
	metrics map[string]*dto.MetricFamily // as scraped last
}

// observe runs the gate and the services of testdata/system in this process, lets reviews come out in every
// way, and returns what each program told.
func observe(ctx context.Context, root string) (_ map[string]*observer, err error) {
	dir, err := os.MkdirTemp("", "docs-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "test/docs/testdata/system"))); err != nil {
		return nil, err
	}
	observers := map[string]*observer{}
	for _, name := range []string{"gateway", "mutator", "validator"} {
		o := &observer{spans: tracetest.NewSpanRecorder()}
		o.Telemetry, err = telemetry.New(ctx, telemetry.Config{
			Service: name, Logs: io.Discard, Level: slog.LevelError, SpanProcessors: []sdktrace.SpanProcessor{o.spans},
		})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, o.Shutdown(ctx)) }()
		observers[name] = o
	}
	state, err := cluster.Source{ObjectFiles: []string{filepath.Join(dir, "cluster.yaml")}}.Open(cluster.Options{})
	if err != nil {
		return nil, err
	}
	return observers, serve(ctx, filepath.Join(dir, "gatefold.yaml"), state, observers)
}

// serve runs the programs until the reviews have been answered.
func serve(ctx context.Context, config string, state *cluster.Cluster, observers map[string]*observer) error {
	inproc := map[string]*bufconn.Listener{"mutator": bufconn.Listen(bufferSize), "validator": bufconn.Listen(bufferSize)}
	dial := func(ctx context.Context, b gateway.Backend) (net.Conn, error) {
		listener, ok := inproc[strings.TrimPrefix(b.Endpoint, "inproc://")]
		if !ok {
			return nil, errors.New("nobody is there")
		}
		return listener.DialContext(ctx)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server, client, err := certificates()
	if err != nil {
		return err
	}
	k := &kubeAPIServer{
		url: "https://" + listener.Addr().String(), config: config, observers: observers,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: client}},
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return run.Tasks(ctx,
		func(ctx context.Context) error {
			return mutatorsvc.Run(ctx, mutatorsvc.Options{
				ConfigFile: config, Cluster: state, Listener: inproc["mutator"], Telemetry: observers["mutator"].Telemetry,
			})
		},
		func(ctx context.Context) error {
			return validatorsvc.Run(ctx, validatorsvc.Options{
				ConfigFile: config, Cluster: state, Listener: inproc["validator"], Telemetry: observers["validator"].Telemetry,
			})
		},
		func(ctx context.Context) error {
			return gateway.Run(ctx, gateway.Options{
				ConfigFile: config, Cluster: state, Listener: listener, TLS: server, DialInproc: dial, Telemetry: observers["gateway"].Telemetry,
			})
		},
		func(ctx context.Context) error {
			defer stop()
			defer k.client.CloseIdleConnections()
			return k.ask(ctx)
		},
	)
}

func certificates() (server, client *tls.Config, err error) {
	ca, err := throwaway.New("docs")
	if err != nil {
		return nil, nil, err
	}
	pair, err := ca.Server("127.0.0.1")
	if err != nil {
		return nil, nil, err
	}
	certificate, err := pair.TLS()
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}, err
}

// kubeAPIServer sends what the real one would send.
type kubeAPIServer struct {
	url, config string
	client      *http.Client
	observers   map[string]*observer
}

// ask waits until everything runs, sends the reviews, changes the configuration and scrapes the metrics.
func (k *kubeAPIServer) ask(ctx context.Context) error {
	good := review("good", `{"serviceAccountName": "known", "containers": [{"name": "main", "resources": {}}]}`)
	bad := review("bad", `{"serviceAccountName": "unknown", "containers": [{"name": "main"}]}`)
	for _, r := range []struct{ path, body, want string }{
		{"/mutate", good, `"allowed":true`}, // waits for the services, both backends are required
		{"/validate", good, `"allowed":true`},
		{"/mutate", bad, `"allowed":true`}, // its ServiceAccount is not known
		{"/validate", bad, `"allowed":false`},
		{"/mutate", "{}", "AdmissionReview"}, // a failure that is no backend's
	} {
		if err := k.eventually(ctx, func() error { return k.post(ctx, r.path, r.body, r.want) }); err != nil {
			return err
		}
	}
	file, err := os.ReadFile(k.config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.config, append(file, "# changed\n"...), 0o600); err != nil {
		return err
	}
	return k.eventually(ctx, func() error {
		// Each try is also a review: it takes some until the breaker of a backend that is away has opened.
		return errors.Join(k.post(ctx, "/mutate", good, `"allowed":true`), k.scrape(ctx))
	})
}

func review(name, spec string) string {
	body, _ := json.Marshal(map[string]any{ // strings and maps always marshal
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": name, "operation": "CREATE", "namespace": "shop", "name": name,
			"kind":     map[string]string{"version": "v1", "kind": "Pod"},
			"resource": map[string]string{"version": "v1", "resource": "pods"},
			"userInfo": map[string]string{"username": "alice"},
			"object": map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]string{"name": name, "namespace": "shop"}, "spec": json.RawMessage(spec),
			},
		},
	})
	return string(body)
}

// eventually repeats try until it succeeds.
func (k *kubeAPIServer) eventually(ctx context.Context, try func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(interval) {
		if err := try(); err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}

func (k *kubeAPIServer) post(ctx context.Context, path, body, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.url+path+"?timeout=10s", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := k.client.Do(r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(answer, []byte(want)) {
		return fmt.Errorf("%s was answered with HTTP %d %s, want %s (%w)", path, resp.StatusCode, answer, want, err)
	}
	return resp.Body.Close()
}

// scrape reads everybody's metrics as Prometheus does. It fails until all have seen the changed file, and the
// gate has seen what shadows do and what breakers are for.
func (k *kubeAPIServer) scrape(ctx context.Context) error {
	for name, o := range k.observers {
		w := httptest.NewRecorder()
		o.Metrics.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody))
		parser := expfmt.NewTextParser(model.UTF8Validation)
		var err error
		if o.metrics, err = parser.TextToMetricFamilies(w.Body); err != nil {
			return fmt.Errorf("metrics of the %s: %w", name, err)
		}
		if o.metrics["gatefold_config_reloads_total"] == nil {
			return fmt.Errorf("the %s has not seen the change of its configuration", name)
		}
	}
	for _, late := range []string{"gatefold_shadow_differences_total", "gatefold_backend_breaker_open"} {
		if k.observers["gateway"].metrics[late] == nil {
			return fmt.Errorf("the gateway has not measured %s", late)
		}
	}
	return nil
}
