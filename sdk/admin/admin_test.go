package admin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatefold/gatefold/sdk/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an admin server under test, with a client of its in-memory listener.
type server struct {
	client *http.Client
	ended  chan error
}

func start(t *testing.T, ctx context.Context, cfg admin.Config) *server {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	cfg.Listener = listener
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
	}
	s := &server{client: &http.Client{Transport: transport}, ended: make(chan error, 1)}
	go func() { s.ended <- admin.Serve(ctx, cfg) }()
	return s
}

func (s *server) get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := s.client.Get("http://admin" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var synced atomic.Bool
	drained := make(chan struct{})
	s := start(t, ctx, admin.Config{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		Ready: []admin.Check{{Name: "cache", Check: func(context.Context) error {
			if !synced.Load() {
				return errors.New("not synced")
			}
			return nil
		}}},
		Version: "v1.2.3",
		Drained: drained,
	})
	expect := func(path string, status int, body string) {
		t.Helper()
		gotStatus, got := s.get(t, path)
		if gotStatus != status || got != body {
			t.Errorf("GET %s: got %d %q, want %d %q", path, gotStatus, got, status, body)
		}
	}
	expect("/livez", 200, "ok")
	expect("/livez?verbose", 200, "livez check passed\n")
	expect("/readyz", 503, "[+]shutdown ok\n[-]cache failed: not synced\nreadyz check failed\n")
	synced.Store(true)
	expect("/readyz", 200, "ok")
	expect("/readyz?verbose", 200, "[+]shutdown ok\n[+]cache ok\nreadyz check passed\n")
	expect("/metrics", 200, "up 1\n")
	expect("/nowhere", 404, "404 page not found\n")
	if status, body := s.get(t, "/version"); status != 200 || !strings.Contains(body, `"version":"v1.2.3"`) {
		t.Errorf("GET /version: got %d %q", status, body)
	}

	cancel()
	expect("/readyz", 503, "[-]shutdown failed: shutting down\n[+]cache ok\nreadyz check failed\n")
	expect("/livez", 200, "ok")
	close(drained)
	if err := <-s.ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestSlowCheckIsCutOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := start(t, ctx, admin.Config{Live: []admin.Check{{Name: "stuck", Check: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}}})
	began := time.Now()
	status, body := s.get(t, "/livez")
	if status != 503 || body != "[-]stuck failed: context deadline exceeded\nlivez check failed\n" {
		t.Errorf("got %d %q", status, body)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	cancel()
	if err := <-s.ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeWithoutAddress(t *testing.T) {
	if err := admin.Serve(t.Context(), admin.Config{}); err != nil {
		t.Fatal(err)
	}
}

func TestServeSaysThatTheAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = admin.Serve(t.Context(), admin.Config{Address: taken.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v", err)
	}
}
