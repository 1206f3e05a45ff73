package gateway_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	admissionapi "k8s.io/api/admission/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/gateway"
)

func TestWebhook(t *testing.T) {
	v1beta1 := func(b *gateway.Backend) { b.AdmissionReviewVersions = []string{"v2", "v1beta1", "v1"} }
	oneSecond := func(b *gateway.Backend) { *b = timeout(*b, 1) }
	const first = `[{"op":"add","path":"/metadata/labels/first","value":"1"}]`
	large := fmt.Sprintf(`[{"op":"add","path":"/metadata/annotations/large","value":%q}]`, strings.Repeat("x", 1<<20))
	var bomb bytes.Buffer
	compressor := gzip.NewWriter(&bomb)
	if _, err := compressor.Write(make([]byte, 33<<20)); err != nil {
		t.Fatal(err)
	}
	if err := compressor.Close(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		answer   http.HandlerFunc
		kind     func(string) gateway.Backend // default: mutator
		change   func(*gateway.Backend)
		text     string // part of an answer that is an error
		denied   string // message of a denial
		code     int32  // of a denial
		patch    string
		warnings string
		attempts int // default: 1
	}{
		"it allows":                   {answer: answering(`"allowed":true`)},
		"it changes the object":       {answer: answering(jsonPatch(first)), patch: first},
		"it changes nothing in words": {answer: answering(jsonPatch(`[]`))},
		"it speaks v1beta1 alone":     {answer: answering(jsonPatch(first)), change: v1beta1, patch: first},
		"it speaks v1beta1 and has no uid": {
			answer: raw(200, `{"response":{"allowed":true,"patch":"`+base64.StdEncoding.EncodeToString([]byte(first))+`"}}`), change: v1beta1, patch: first,
		},
		"it changes 1 MiB":       {answer: answering(jsonPatch(large)), patch: large},
		"it refuses":             {answer: answering(`"allowed":false,"status":{"message":"not today","code":422,"reason":"Invalid"}`), denied: "legacy: not today", code: 422},
		"it refuses in silence":  {answer: answering(`"allowed":false`), denied: "legacy: denied without explanation", code: 403},
		"it warns":               {answer: answering(`"allowed":true,"warnings":["mind"]`), warnings: "legacy: mind"},
		"a validator allows":     {answer: answering(`"allowed":true`), kind: validator},
		"a validator refuses":    {answer: answering(`"allowed":false,"status":{"message":"not today","code":400}`), kind: validator, denied: "legacy: not today", code: 400},
		"a validator changes it": {answer: answering(jsonPatch(first)), kind: validator, text: "its answer is not valid: it has a response.patch or response.patchType, which a validating webhook may not have"},

		"it answers somebody else": {answer: raw(200, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"other","allowed":true}}`), text: `its answer is not valid: its response.uid is "other"`},
		"it answers with garbage":  {answer: raw(200, "<html>"), text: "its answer is not valid: it is no AdmissionReview"},
		"it answers with nothing":  {answer: raw(200, ""), text: "its answer is not valid: it is empty"},
		"it answers with too much": {answer: raw(200, strings.Repeat(" ", 32<<20+1)), text: "its answer is larger than 33554432 bytes"},
		"it answers with too much, compressed": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, text: "its answer is larger than 33554432 bytes"},
		"it fails":           {answer: raw(500, "no\n\x1b[31mdisk"), text: "it answered with HTTP 500: no [31mdisk"},
		"it fails at length": {answer: raw(502, strings.Repeat("x", 10<<10)), text: "it answered with HTTP 502: " + strings.Repeat("x", 200) + "..."},
		"it is not there":    {answer: raw(404, ""), text: "it answered with HTTP 404"},
		"it is slow":         {answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, change: oneSecond, text: "no answer within"},
		"it stops in the middle": {answer: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"kind":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, change: oneSecond, text: "no answer within"},
		"it hangs up": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, text: "it cannot be reached: the connection broke before it had answered"},
		"it is overloaded and does not say for how long": {answer: raw(503, "busy"), text: "it answered with HTTP 503: busy"},
		"it is overloaded for too long": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, text: "it answered with HTTP 503"},
		"it is overloaded for good": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		}, text: "it answered with HTTP 429", attempts: 3},
		"its patch does not apply":  {answer: answering(jsonPatch(`[{"op":"remove","path":"/spec/nothing"}]`)), text: "operation 0 (remove /spec/nothing) does not apply"},
		"its patch goes too far":    {answer: answering(jsonPatch(`[{"op":"replace","path":"/metadata/uid","value":"x"}]`)), text: "operation 0 (replace /metadata/uid): /metadata/uid is not for mutators to change"},
		"its patch is not RFC 6902": {answer: answering(jsonPatch(`[{"op":"add","path":"/a"}]`)), text: "its answer is not valid: operation 0 of its patch: it has no value"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := startHook(t, test.answer)
			path, kind, attempts := "/mutate", mutator, 1
			if test.kind != nil {
				path, kind = "/validate", test.kind
			}
			if test.attempts > 0 {
				attempts = test.attempts
			}
			// 32 MiB under the race detector, on a busy machine, take their time.
			change := []func(*gateway.Backend){func(b *gateway.Backend) { *b = timeout(*b, 30) }}
			if test.change != nil {
				change = append(change, test.change)
			}
			g := start(t, "h2", []gateway.Backend{h.backend(kind, change...)}, services{})
			sent := recorded(t, "005-*")
			got := g.post(t, path+"?timeout=30s", sent)
			if n := len(h.requests()); n != attempts {
				t.Errorf("it was asked %d times, want %d", n, attempts)
			}
			if test.text != "" {
				if got.code != http.StatusInternalServerError || !strings.Contains(got.text, `gatefold backend "legacy" failed: `+test.text) {
					t.Fatalf("answered %d %s, want 500 with %q", got.code, got.text, test.text)
				}
				return
			}
			if got.code != http.StatusOK {
				t.Fatalf("answered %d %s", got.code, got.text)
			}
			checkEnvelope(t, sent, got.review)
			response := got.review.Response
			if response.Allowed != (test.denied == "") {
				t.Fatalf("allowed is %v", response.Allowed)
			}
			if test.denied != "" && (response.Result.Message != test.denied || response.Result.Code != test.code) {
				t.Errorf("refused with %+v, want %d %q", response.Result, test.code, test.denied)
			}
			if string(response.Patch) != test.patch {
				t.Errorf("patch is %.200s, want %.200s", response.Patch, test.patch)
			}
			if got := strings.Join(response.Warnings, "\n"); got != test.warnings {
				t.Errorf("warnings are %q, want %q", got, test.warnings)
			}
		})
	}
}

// TestWebhookRequest looks at what a webhook is sent: what kube-apiserver would send it.
func TestWebhookRequest(t *testing.T) {
	h := startHook(t, answering(`"allowed":true`))
	b := h.backend(mutator, func(b *gateway.Backend) { b.Endpoint += "?strict=a%26b" })
	g := start(t, "http/1.1", []gateway.Backend{b}, services{})
	sent := recorded(t, "006-*")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/mutate?timeout=10s", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	const trace = "0af7651916cd43dd8448eb211c80319c"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	r.Header.Set("Baggage", "user=jane")
	answer, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", answer.StatusCode)
	}
	got := h.requests()[0]
	if parent := got.header.Get("Traceparent"); !strings.Contains(parent, trace) {
		t.Errorf("the trace is not continued: %q", parent)
	}
	if got.uri != "/review?strict=a%26b&timeout=5s" || got.protocol != "HTTP/1.1" {
		t.Errorf("asked for %s by %s", got.uri, got.protocol)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "gatefold", "Authorization": "", "Baggage": "", "Idempotency-Key": "",
	} {
		if value := got.header.Get(name); value != want {
			t.Errorf("header %s is %q, want %q", name, value, want)
		}
	}
	var want admissionapi.AdmissionReview
	if err := json.Unmarshal(sent, &want); err != nil {
		t.Fatal(err)
	}
	if got.review.Request.UID != want.Request.UID || string(got.review.Request.Object.Raw) != string(want.Request.Object.Raw) {
		t.Error("the uid or the object is another")
	}
}

// TestWebhookOrder puts a webhook between two gRPC mutators: each sees what those before it have changed.
func TestWebhookOrder(t *testing.T) {
	h := startHook(t, answering(jsonPatch(`[{"op":"add","path":"/metadata/labels/second","value":"2"}]`)))
	g := start(t, "h2", []gateway.Backend{
		mutator("a"), after(h.backend(mutator), "a"), after(mutator("c"), "legacy"),
	}, services{mutators: map[string]sdk.Mutator{"a": label("a", "x"), "c": label("c", "x")}})
	got := g.post(t, "/mutate", recorded(t, "005-*"))
	const want = `[{"op":"add","path":"/metadata/labels/a","value":"x"},{"op":"add","path":"/metadata/labels/second","value":"2"},{"op":"add","path":"/metadata/labels/c","value":"x"}]`
	if got.code != http.StatusOK || string(got.review.Response.Patch) != want {
		t.Errorf("answered %d %s %s", got.code, got.text, got.review.Response.Patch)
	}
	asked := h.requests()
	// It was asked at once with the others too, unless that was cut short before it arrived.
	last := asked[len(asked)-1].review.Request
	if object := string(last.Object.Raw); !strings.Contains(object, `"a":"x"`) {
		t.Errorf("the webhook did not see the first change: %s", object)
	}
	if last.UID == "" || bytes.Contains(recorded(t, "005-*"), []byte(last.UID)) {
		t.Errorf("the second question has the uid of the first, %q, so that the webhook may take one for the other", last.UID)
	}
}

// TestWebhookConnections shows that connections are kept, and closed with the gate.
func TestWebhookConnections(t *testing.T) {
	var opened, closed atomic.Int32
	h := startHook(t, answering(`"allowed":true`), func(c *tls.Config) {
		c.VerifyConnection = func(tls.ConnectionState) error { opened.Add(1); return nil }
	})
	h.closed.Store(&closed)
	cfg := &gateway.Config{Backends: []gateway.Backend{h.backend(mutator)}}
	cfg.SetDefaults()
	g, err := gateway.New(t.Context(), gateway.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := g.Mutate(t.Context(), &gatewayv1.MutateRequest{Request: &admissionv1.AdmissionRequest{
			Uid: "1", Operation: admissionv1.Operation_OPERATION_CREATE, Object: []byte(`{}`),
			Resource: &admissionv1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 || closed.Load() != 0 {
		t.Errorf("three reviews took %d connections, of which %d were closed", opened.Load(), closed.Load())
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is closed", func() bool { return closed.Load() == 1 })
}
