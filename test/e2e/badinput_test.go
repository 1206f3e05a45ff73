package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

const mib = 1 << 20

// testBadInput posts to the gate what kube-apiserver never would, and what it rarely does. Nothing is
// ever redirected, and what is not an AdmissionReview is never answered as if it were.
func testBadInput(t *testing.T, w *world, g *gate) {
	const jsonType = "application/json"
	cases := []struct {
		name, method, path, contentType string
		body                            []byte
		status                          int
		says                            string
	}{
		{"not JSON", "POST", "/mutate", jsonType, []byte("hello"), 400, "not an AdmissionReview"},
		{"cut off", "POST", "/mutate", jsonType, review("u", 10)[:60], 400, ""},
		{"nothing", "POST", "/mutate", jsonType, nil, 400, ""},
		{"no request", "POST", "/mutate", jsonType, []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`), 400, "request"},
		{"wrong apiVersion", "POST", "/mutate", jsonType, []byte(`{"apiVersion":"admission.k8s.io/v2","kind":"AdmissionReview","request":{"uid":"u"}}`), 400, "admission.k8s.io/v2"},
		{"wrong kind", "POST", "/mutate", jsonType, []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"Pod","request":{"uid":"u"}}`), 400, "Pod"},
		{"empty uid", "POST", "/mutate", jsonType, review("", 10), 400, "uid"},
		{"wrong content type", "POST", "/mutate", "application/yaml", review("u", 10), 415, "application/json"},
		{"no content type", "POST", "/mutate", "", review("u", 10), 415, "application/json"},
		{"wrong method", "GET", "/mutate", "", nil, 405, ""},
		{"unknown path", "POST", "/nowhere", jsonType, review("u", 10), 404, ""},
		{"root", "POST", "/", jsonType, review("u", 10), 404, ""},
		{"doubled slash", "POST", "//mutate", jsonType, review("u", 10), 404, ""},
		{"trailing slash", "POST", "/mutate/", jsonType, review("u", 10), 404, ""},
		{"path that would be cleaned", "POST", "/x/../mutate", jsonType, review("u", 10), 404, ""},
		{"a review of 20 MB", "POST", "/mutate", jsonType, review("large", 20*mib), 200, `"allowed":true`},
	}
	client := w.httpClient(t, &g.apiserver)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req := must(http.NewRequestWithContext(t.Context(), c.method, g.url(c.path), bytes.NewReader(c.body)))(t)
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			resp := must(client.Do(req))(t)
			defer resp.Body.Close()
			body := must(io.ReadAll(resp.Body))(t)
			if resp.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("got %d, %q; want %d, saying %q", resp.StatusCode, body, c.status, c.says)
			}
			if c.status != http.StatusOK && strings.Contains(string(body), `"allowed"`) {
				t.Errorf("an error that looks like an answer: %q", body)
			}
		})
	}
	t.Run("larger than the limit", func(t *testing.T) { refusesOversize(t, client, g) })
}

// refusesOversize: what the gate cannot read it must refuse, as a denial with the right uid. As an
// error it would be admitted unseen wherever the registration says Ignore.
func refusesOversize(t *testing.T, client *http.Client, g *gate) {
	resp := must(post(t, client, g.url("/mutate"), "application/json", bytes.NewReader(review("huge", 33*mib))))(t)
	defer resp.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Response == nil {
		t.Fatalf("got %d and no AdmissionReview: %v", resp.StatusCode, err)
	}
	r := answer.Response
	if r.Allowed || r.UID != "huge" || r.Result == nil || r.Result.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %+v (status %+v), want a denial of uid huge with code 413", r, r.Result)
	}
}

// review is an AdmissionReview of a ConfigMap with so many bytes of data, which no backend of the
// tests changes: its namespace does not exist.
func review(uid string, bytes int) []byte {
	return fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":%q,`+
		`"kind":{"group":"","version":"v1","kind":"Secret"},"resource":{"group":"","version":"v1","resource":"secrets"},`+
		`"requestKind":{"group":"","version":"v1","kind":"Secret"},"requestResource":{"group":"","version":"v1","resource":"secrets"},`+
		`"name":"x","namespace":"nowhere","operation":"CREATE","userInfo":{"username":"test"},`+
		`"object":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"},"data":{"k":%q}},"oldObject":null,"dryRun":false,"options":null}}`,
		uid, strings.Repeat("x", bytes))
}

func post(t *testing.T, client *http.Client, url, contentType string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, url, body))(t)
	req.Header.Set("Content-Type", contentType)
	return client.Do(req)
}

func lineOf(text, word string) int { return 1 + strings.Count(text[:strings.Index(text, word)], "\n") }

// testConfigErrors starts gates that must not start: each says everything that is wrong, with lines,
// and exits with the code of bad usage.
func testConfigErrors(t *testing.T, w *world) {
	good := string(must(os.ReadFile(w.gates["http1"].config))(t))
	cases := []struct {
		name   string
		config string
		says   []string
	}{
		{"unknown field", strings.Replace(good, "drainSeconds: 2", "drianSeconds: 2", 1), []string{fmt.Sprintf(":%d: drianSeconds", lineOf(good, "drainSeconds"))}},
		{"duplicate backend name", strings.Replace(good, "- name: labels", "- name: identity", 1), []string{"backends[1].name", "identity"}},
		{"cycle in after", strings.Replace(good, "- name: identity", "- name: identity\n  after: [labels]", 1), []string{"after", "identity", "labels"}},
		{"two mistakes at once", strings.NewReplacer("type: Validator", "type: Judge", "drainSeconds: 2", "drainSeconds: -1").Replace(good), []string{"Judge", "drainSeconds"}},
		{"no such file", "", []string{"no such file"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gateway.yaml")
			if c.config != "" {
				if c.config == good {
					t.Fatal("the mistake was not made: the test's replacement found nothing to replace")
				}
				if err := os.WriteFile(path, []byte(c.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), w.binaries.Gateway, "--config", path)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for _, want := range c.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q, but:\n%s", want, out)
				}
			}
		})
	}
}
