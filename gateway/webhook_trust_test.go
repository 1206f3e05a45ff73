package gateway_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"

	"github.com/gatefold/gatefold/gateway"
)

// TestWebhookRedirect shows that neither the object nor the token goes where a webhook points.
func TestWebhookRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		elsewhere := startHook(t, answering(`"allowed":true`))
		h := startHook(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.url+"/review", status) })
		token := writeToken(t, t.TempDir(), "secret")
		g := start(t, "h2", []gateway.Backend{h.backend(mutator, func(b *gateway.Backend) { b.BearerTokenFile = token })}, services{})
		got := g.post(t, "/mutate", recorded(t, "005-*"))
		want := fmt.Sprintf("it answered with HTTP %d, a redirect to %q, which is not followed", status, elsewhere.url+"/review")
		if got.code != http.StatusInternalServerError || !strings.Contains(got.text, want) {
			t.Errorf("answered %d %s, want %q", got.code, got.text, want)
		}
		if n := len(elsewhere.requests()); n != 0 {
			t.Errorf("%d: the redirect was followed", status)
		}
		if got := h.requests()[0].header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("the webhook got the token %q", got)
		}
	}
}

func writeToken(t *testing.T, dir, token string) string {
	t.Helper()
	path := filepath.Join(dir, "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWebhookTokenRotation replaces a token, and no review fails of it: the webhook's refusal of the old one
// makes the gate read the file.
func TestWebhookTokenRotation(t *testing.T) {
	var valid atomic.Value
	valid.Store("Bearer one")
	h := startHook(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != valid.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answering(`"allowed":true`)(w, r)
	})
	dir := t.TempDir()
	token := writeToken(t, dir, "one")
	g := start(t, "h2", []gateway.Backend{h.backend(mutator, func(b *gateway.Backend) { b.BearerTokenFile = token })}, services{})
	pod := recorded(t, "005-*")
	if got := g.post(t, "/mutate", pod); got.code != http.StatusOK {
		t.Fatalf("answered %d %s", got.code, got.text)
	}
	writeToken(t, dir, "two")
	valid.Store("Bearer two")
	if got := g.post(t, "/mutate", pod); got.code != http.StatusOK || len(h.requests()) != 3 {
		t.Errorf("after the change: answered %d %s, %d requests in all", got.code, got.text, len(h.requests()))
	}
	valid.Store("Bearer three")
	if got := g.post(t, "/mutate", pod); got.code != http.StatusInternalServerError || len(h.requests()) != 4 {
		t.Errorf("with a token that is no longer good: answered %d %s, %d requests in all", got.code, got.text, len(h.requests()))
	}
}

func TestWebhookWithoutItsToken(t *testing.T) {
	h := startHook(t, answering(`"allowed":true`))
	cfg := &gateway.Config{Backends: []gateway.Backend{h.backend(mutator, func(b *gateway.Backend) { b.BearerTokenFile = "testdata/absent" })}}
	cfg.SetDefaults()
	if _, err := gateway.New(t.Context(), gateway.Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), `backend "legacy": failed to read token file "testdata/absent"`) {
		t.Errorf("started with %v", err)
	}
}

func TestWebhookClientCertificate(t *testing.T) {
	clients, err := throwaway.New("clients")
	if err != nil {
		t.Fatal(err)
	}
	h := startHook(t, answering(`"allowed":true`), func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
	})
	pair, err := clients.Client("the gate")
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := pair.Write(t.TempDir(), "gate")
	if err != nil {
		t.Fatal(err)
	}
	pod := recorded(t, "005-*")
	known := start(t, "h2", []gateway.Backend{h.backend(mutator, func(b *gateway.Backend) {
		b.TLS = &sdkconfig.ClientTLS{CertFile: certFile, KeyFile: keyFile}
	})}, services{})
	if got := known.post(t, "/mutate", pod); got.code != http.StatusOK || h.requests()[0].client != "the gate" {
		t.Errorf("answered %d %s to %+v", got.code, got.text, h.requests())
	}
	stranger := start(t, "h2", []gateway.Backend{h.backend(mutator)}, services{})
	if got := stranger.post(t, "/mutate", pod); got.code != http.StatusInternalServerError || !strings.Contains(got.text, "it cannot be reached") {
		t.Errorf("without a certificate: answered %d %s", got.code, got.text)
	}
}

func TestWebhookThatIsNotTrusted(t *testing.T) {
	other, err := throwaway.New("other")
	if err != nil {
		t.Fatal(err)
	}
	h := startHook(t, answering(`"allowed":true`))
	for name, bundle := range map[string][]byte{"another authority": other.PEM(), "the system's": nil} {
		g := start(t, "h2", []gateway.Backend{h.backend(mutator, func(b *gateway.Backend) { b.CABundle = bundle })}, services{})
		got := g.post(t, "/mutate", recorded(t, "005-*"))
		if got.code != http.StatusInternalServerError || !strings.Contains(got.text, "its certificate is not trusted (see caBundle and tls): x509: certificate signed by unknown authority") {
			t.Errorf("%s: answered %d %s", name, got.code, got.text)
		}
	}
}

// TestWebhookIsAskedAgain lets a webhook come up, or come to its senses, while a review waits for it.
func TestWebhookIsAskedAgain(t *testing.T) {
	pod := recorded(t, "005-*")
	t.Run("nobody is there", func(t *testing.T) {
		down := listen(t)
		_ = down.Close()
		g := start(t, "h2", []gateway.Backend{ignored(at(mutator("legacy"), "https://"+down.Addr().String()+"/review"))}, services{})
		began := time.Now()
		got := g.post(t, "/mutate", pod)
		if got.code != http.StatusOK || len(got.review.Response.Warnings) != 1 || !strings.Contains(got.review.Response.Warnings[0], "it cannot be reached: dial tcp") {
			t.Errorf("answered %d %s %+v", got.code, got.text, got.review)
		}
		if took := time.Since(began); took < 50*time.Millisecond || took > 4*time.Second {
			t.Errorf("took %s: three attempts have at least 64 ms between them, and not all the time there is", took)
		}
	})
	t.Run("the connection is refused at first", func(t *testing.T) {
		// It has 64 ms at least to come up in, which a busy machine does not always give it.
		var got answer
		for range 5 {
			if got = askBeforeItListens(t, pod); got.code == http.StatusOK {
				return
			}
		}
		t.Errorf("answered %d %s", got.code, got.text)
	})
	t.Run("it says when to come again", func(t *testing.T) {
		var attempts atomic.Int32
		h := startHook(t, func(w http.ResponseWriter, r *http.Request) {
			if attempts.Add(1) == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			answering(`"allowed":true`)(w, r)
		})
		g := start(t, "h2", []gateway.Backend{h.backend(mutator)}, services{})
		began := time.Now()
		if got := g.post(t, "/mutate?timeout=10s", pod); got.code != http.StatusOK || attempts.Load() != 2 {
			t.Errorf("answered %d %s after %d attempts", got.code, got.text, attempts.Load())
		}
		if took := time.Since(began); took < 800*time.Millisecond {
			t.Errorf("came again after %s", took)
		}
		if got := h.requests(); got[0].review.Request.UID != got[1].review.Request.UID {
			t.Error("the second attempt has another uid")
		}
	})
}

// askBeforeItListens asks a webhook that listens 30 ms later.
func askBeforeItListens(t *testing.T, pod []byte) answer {
	down := listen(t)
	_ = down.Close()
	ca, err := throwaway.New("legacy")
	if err != nil {
		t.Fatal(err)
	}
	h := &hook{url: "https://" + down.Addr().String(), ca: ca}
	g := start(t, "h2", []gateway.Backend{h.backend(mutator)}, services{})
	up := make(chan *hook)
	time.AfterFunc(30*time.Millisecond, func() {
		defer close(up)
		listener, err := net.Listen("tcp", down.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		up <- startHookAt(t, listener, ca, answering(`"allowed":true`))
	})
	got := g.post(t, "/mutate", pod)
	if h := <-up; h != nil && got.code == http.StatusOK && len(h.requests()) != 1 {
		t.Errorf("it was asked %d times", len(h.requests()))
	}
	return got
}
