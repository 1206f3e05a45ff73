package gateway_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	admissionapi "k8s.io/api/admission/v1"

	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"

	"github.com/gatefold/gatefold/gateway"
)

// hook is somebody else's webhook: a real HTTPS server that remembers what it was asked.
type hook struct {
	url string
	ca  *throwaway.CA

	mu     sync.Mutex
	asked  []asked
	closed atomic.Pointer[atomic.Int32] // counts connections that were closed, where a test sets it
}

type asked struct {
	uri, protocol, client string // client is the common name of its certificate
	header                http.Header
	review                admissionapi.AdmissionReview
}

// answering returns a handler that answers with the review's version and uid, and the given members of response.
func answering(members string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		review, _ := r.Context().Value(reviewKey{}).(admissionapi.AdmissionReview)
		fmt.Fprintf(w, `{"kind":"AdmissionReview","apiVersion":%q,"response":{"uid":%q,%s}}`, review.APIVersion, review.Request.UID, members)
	}
}

type reviewKey struct{}

func raw(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func jsonPatch(patch string) string {
	return `"allowed":true,"patchType":"JSONPatch","patch":"` + base64.StdEncoding.EncodeToString([]byte(patch)) + `"`
}

func startHook(t *testing.T, handle http.HandlerFunc, change ...func(*tls.Config)) *hook {
	t.Helper()
	ca, err := throwaway.New("legacy")
	if err != nil {
		t.Fatal(err)
	}
	return startHookAt(t, listen(t), ca, handle, change...)
}

func startHookAt(t *testing.T, listener net.Listener, ca *throwaway.CA, handle http.HandlerFunc, change ...func(*tls.Config)) *hook {
	t.Helper()
	pair, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	h := &hook{ca: ca}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{uri: r.RequestURI, protocol: r.Proto, header: r.Header.Clone()}
		if len(r.TLS.PeerCertificates) > 0 {
			a.client = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if err := json.NewDecoder(r.Body).Decode(&a.review); err != nil {
			t.Errorf("the webhook was sent no AdmissionReview: %v", err)
		}
		h.mu.Lock()
		h.asked = append(h.asked, a)
		h.mu.Unlock()
		handle(w, r.WithContext(context.WithValue(r.Context(), reviewKey{}, a.review)))
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.EnableHTTP2 = true // which it offers, and the gate does not take
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	for _, f := range change {
		f(server.TLS)
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if n := h.closed.Load(); n != nil && state == http.StateClosed {
			n.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	h.url = "https://" + listener.Addr().String()
	return h
}

func (h *hook) requests() []asked {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]asked{}, h.asked...)
}

// backend returns a backend for the webhook, which kind may be mutator or validator.
func (h *hook) backend(kind func(string) gateway.Backend, change ...func(*gateway.Backend)) gateway.Backend {
	b := at(kind("legacy"), h.url+"/review")
	b.CABundle = h.ca.PEM()
	for _, f := range change {
		f(&b)
	}
	return b
}
