package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"

	"github.com/gatefold/gatefold/gateway"
)

const reloadable = `apiVersion: gatefold.dev/v1alpha1
kind: GatewayConfig
listen:
  address: 127.0.0.1:0
  tls: {certFile: gate.crt, keyFile: gate.key}
  clientAuth: {mode: None}
drainSeconds: %d
backends:
- name: %s
  type: Mutator
  endpoint: inproc://x
  rules: [{operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*"]}]
`

// logs is a log that a test can read while it is written.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// fromFile runs a gate from a configuration file until the returned stop is called.
func fromFile(t *testing.T, protocol, configFile string, ca *throwaway.CA) (g gate, log *logs, stop func()) {
	t.Helper()
	server := sdktest.Listen(t)
	grpcServer := sdk.NewServer(sdk.Config{Name: "test", Mutators: map[string]sdk.Mutator{"first": label("first", "1"), "second": label("second", "2")}})
	grpc_health_v1.RegisterHealthServer(grpcServer, health.NewServer())
	go func() { _ = grpcServer.Serve(server) }()
	t.Cleanup(grpcServer.Stop)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log = &logs{}
	tel := telemetry.Discard()
	tel.Logger = slog.New(slog.NewTextHandler(log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			ConfigFile: configFile, Listener: listener, Telemetry: tel,
			DialInproc: func(ctx context.Context, _ gateway.Backend) (net.Conn, error) { return server.DialContext(ctx) },
		})
	}()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == "http/1.1")
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}, Protocols: protocols,
		MaxIdleConnsPerHost: 25, // as kube-apiserver
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the gate ended with %v", err)
			}
			transport.CloseIdleConnections()
		})
	}
	t.Cleanup(stop)
	return gate{url: "https://" + listener.Addr().String(), client: &http.Client{Transport: transport}}, log, stop
}

func writeConfig(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "gatefold.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certificates(t *testing.T, dir string) *throwaway.CA {
	t.Helper()
	ca, err := throwaway.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pair.Write(dir, "gate"); err != nil {
		t.Fatal(err)
	}
	return ca
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("it never happened that %s", what)
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	ca := certificates(t, dir)
	path := writeConfig(t, dir, fmt.Sprintf(reloadable, 0, "first"))
	g, log, _ := fromFile(t, "h2", path, ca)
	pod := recorded(t, "005-*")
	patched := func(label string) func() bool {
		return func() bool { return strings.Contains(string(g.post(t, "/mutate", pod).review.Response.Patch), label) }
	}
	eventually(t, "the first mutator is asked", patched("/metadata/labels/first"))

	writeConfig(t, dir, fmt.Sprintf(reloadable, 0, "second"))
	eventually(t, "the second mutator is asked", patched("/metadata/labels/second"))

	writeConfig(t, dir, fmt.Sprintf(reloadable, 0, "first")+"  timeoutSecond: 1\n")
	eventually(t, "the mistake is reported with its line", func() bool {
		return log.has("gatefold.yaml:13: backends[0].timeoutSecond: unknown field; did you mean timeoutSeconds?")
	})
	if !patched("/metadata/labels/second")() {
		t.Error("a bad configuration took effect")
	}

	writeConfig(t, dir, fmt.Sprintf(reloadable, 7, "first"))
	eventually(t, "the mended configuration takes effect", patched("/metadata/labels/first"))
	eventually(t, "it is said that a part of it needs a restart", func() bool { return log.has("start the program again for the rest") })
}

// TestDrain stops a gate under load, as a rolling update does, and counts the requests that fail. A client
// goes on with the next gate when a connection is refused, as kube-apiserver does with the next address.
func TestDrain(t *testing.T) {
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			dir := t.TempDir()
			ca := certificates(t, dir)
			path := writeConfig(t, dir, fmt.Sprintf(reloadable, 2, "first"))
			old, _, stop := fromFile(t, protocol, path, ca)
			next, _, _ := fromFile(t, protocol, path, ca)
			pod := recorded(t, "005-*")
			eventually(t, "both answer", func() bool {
				return old.post(t, "/mutate", pod).code == http.StatusOK && next.post(t, "/mutate", pod).code == http.StatusOK
			})

			var moved sync.WaitGroup
			leave := make(chan struct{}) // closed when the old gate is no longer among the addresses
			end := make(chan struct{})
			for range 8 {
				moved.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
						}
						target := old
						select {
						case <-leave:
							// Connections that are open are kept: only a new one goes to the next gate.
							target = next
						default:
						}
						if err := send(t.Context(), target, pod); err != nil {
							t.Errorf("a review failed: %v", err)
							return
						}
					}
				})
			}
			time.Sleep(200 * time.Millisecond)
			stopped := make(chan struct{})
			go func() { defer close(stopped); stop() }()
			time.Sleep(300 * time.Millisecond) // the address stays known for a while, as endpoints do
			close(leave)
			<-stopped
			close(end)
			moved.Wait()
		})
	}
}

func send(ctx context.Context, g gate, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/mutate?timeout=5s", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, text)
	}
	return err
}
