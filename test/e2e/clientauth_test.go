package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// testClientAuth shows that the certificate is what lets kube-apiserver in: whoever has none, or one for
// another name, or one of another authority, gets no answer at all.
func testClientAuth(t *testing.T, w *world, g *gate) {
	elsewhere := must(harness.NewPKI(t.TempDir(), "elsewhere"))(t)
	cases := []struct {
		name   string
		client *harness.KeyPair
		served bool
	}{
		{"kube-apiserver", &g.apiserver, true},
		{"nobody", nil, false},
		{"another name", new(must(w.pki.Client("somebody-else"))(t)), false},
		{"the same name, another authority", new(must(elsewhere.Client("kube-apiserver"))(t)), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client := w.httpClient(t, c.client)
			resp, err := post(t, client, g.url("/mutate"), "application/json", strings.NewReader("{}"))
			if err == nil {
				_ = resp.Body.Close()
			}
			// Which error a refused client sees depends on whether it reads the alert or writes first.
			if served := err == nil; served != c.served {
				t.Errorf("answered: %v, want %v (%v)", served, c.served, err)
			}
		})
	}
}

// httpClient speaks to the gates as kube-apiserver would, with the given certificate or none.
func (w *world) httpClient(t *testing.T, certificate *harness.KeyPair) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(w.pki.CA)
	if certificate != nil {
		config.Certificates = []tls.Certificate{must(tls.LoadX509KeyPair(certificate.CertFile, certificate.KeyFile))(t)}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport,
		// kube-apiserver follows redirects, with the body and its token: the gate must never send one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
