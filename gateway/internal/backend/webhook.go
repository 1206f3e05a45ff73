package backend

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"k8s.io/client-go/transport"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"

	"github.com/gatefold/gatefold/gateway/internal/codec"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

const (
	// idleConnections is how many connections to a webhook are kept for the next burst: kube-apiserver keeps
	// 25 and pays handshakes above it (k8s.io/client-go/transport/cache.go).
	idleConnections = 64
	// idleTimeout is well below the 90 s after which servers made with controller-runtime close a connection:
	// one that is closed as a review is written to it fails that review.
	idleTimeout = 30 * time.Second
	// connectTimeout bounds a connection that outlives the call it was opened for.
	connectTimeout = 10 * time.Second
	// headerBytes is more than any webhook has to say there; net/http would take 10 MiB.
	headerBytes = 64 << 10
)

// WebhookConfig says how a webhook is called.
type WebhookConfig struct {
	// URL is the webhook's, with the scheme https.
	URL string
	// APIVersion is that of the AdmissionReviews it is sent, codec.V1 or codec.V1beta1.
	APIVersion string
	// TLS makes connections; whoever made it keeps it up to date.
	TLS *tlsfile.Client
	// BearerTokenFile holds a token to send along, read again within a minute, and after a 401. Empty: none.
	BearerTokenFile string
	// Telemetry traces and measures calls.
	Telemetry *telemetry.Telemetry
}

// Webhook asks one admission webhook as kube-apiserver does. It is safe for concurrent use.
type Webhook struct {
	apiVersion string
	url        *url.URL
	token      transport.ResettableTokenSource // nil: none
	pool       *http.Transport
	client     *http.Client
	executor   failsafe.Executor[try]
}

// NewWebhook returns a client that connects when it is first asked. It fails when the token cannot be read.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	target, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	w := &Webhook{apiVersion: cfg.APIVersion, url: target, executor: failsafe.With(retries())}
	if cfg.BearerTokenFile != "" {
		w.token = transport.NewCachedFileTokenSource(cfg.BearerTokenFile)
		if _, err := w.token.Token(); err != nil {
			return nil, err
		}
	}
	// HTTP/1.1, which kube-apiserver forces for Services too: connections spread over the replicas behind a
	// virtual address, where the streams of a single HTTP/2 connection would all be one replica's
	// (k8s.io/apiserver/pkg/util/webhook/client.go, kubernetes/kubernetes#75791).
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	w.pool = &http.Transport{ // without a Proxy: what the environment names does not get to see objects
		Protocols: protocols,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, connectTimeout)
			defer cancel()
			return cfg.TLS.DialTLS(ctx, network, address, "http/1.1")
		},
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerBytes,
	}
	w.client = &http.Client{
		Transport: otelhttp.NewTransport(w.pool,
			otelhttp.WithTracerProvider(cfg.Telemetry.TracerProvider),
			otelhttp.WithMeterProvider(cfg.Telemetry.MeterProvider),
			otelhttp.WithPropagators(cfg.Telemetry.Propagator),
		),
		// A redirect would take the object, and the token, where the configuration did not say.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// Close closes the connections that are idle; calls in flight end as they would.
func (w *Webhook) Close() error {
	w.pool.CloseIdleConnections() // client does not pass it on: otelhttp's transport has no such method
	return nil
}

// Mutate asks the webhook. Errors carry an outcome.Cause; replica is the address that was asked, where known.
func (w *Webhook) Mutate(ctx context.Context, req *admissionv1.MutateRequest) (resp *admissionv1.MutateResponse, replica string, err error) {
	answer, replica, err := w.ask(ctx, req.GetRequest(), true)
	if err != nil {
		return nil, replica, err
	}
	return &admissionv1.MutateResponse{
		Operations: answer.Operations, Denial: answer.Denial, Warnings: answer.Warnings, AuditAnnotations: answer.AuditAnnotations,
	}, replica, nil
}

// Validate asks the webhook. Errors carry an outcome.Cause; replica is the address that was asked, where known.
func (w *Webhook) Validate(ctx context.Context, req *admissionv1.ValidateRequest) (resp *admissionv1.ValidateResponse, replica string, err error) {
	answer, replica, err := w.ask(ctx, req.GetRequest(), false)
	if err != nil {
		return nil, replica, err
	}
	resp = &admissionv1.ValidateResponse{Warnings: answer.Warnings, AuditAnnotations: answer.AuditAnnotations}
	if answer.Denial != nil {
		resp.Denials = []*admissionv1.Denial{answer.Denial}
	}
	return resp, replica, nil
}

func (w *Webhook) ask(ctx context.Context, req *admissionv1.AdmissionRequest, mutating bool) (answer *codec.Answer, replica string, err error) {
	body, err := codec.EncodeRequest(w.apiVersion, req)
	if err != nil {
		return nil, "", outcome.New(outcome.Internal, err)
	}
	start := time.Now()
	var last try // what failsafe returns does not say it when retries are used up
	_, _ = w.executor.WithContext(ctx).Get(func() (try, error) {
		last = w.try(ctx, body)
		return last, nil
	})
	if last.err != nil {
		return nil, last.replica, explainTry(ctx, last, time.Since(start))
	}
	if last.status != http.StatusOK {
		return nil, last.replica, outcome.New(outcome.BackendError, last.failure())
	}
	answer, err = codec.DecodeResponse(last.body, codec.Asked{APIVersion: w.apiVersion, UID: req.GetUid(), Mutating: mutating})
	if err != nil {
		return nil, last.replica, outcome.New(outcome.BackendError, fmt.Errorf("its answer is not valid: %w", err))
	}
	return answer, last.replica, nil
}

// try asks once. net/http itself asks again when a connection that it kept turns out to be closed before a
// byte was written to it: NewRequest gives it GetBody for that. There is no Idempotency-Key in the header,
// which would make it do so after the webhook may have begun as well.
func (w *Webhook) try(ctx context.Context, body []byte) (t try) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		t.connected, t.replica = true, info.Conn.RemoteAddr().String()
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target(ctx), bytes.NewReader(body))
	if err != nil {
		t.err = err
		return t
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatefold")
	start, token := time.Now(), ""
	if w.token != nil {
		current, err := w.token.Token()
		if err != nil {
			t.err = err
			return t
		}
		current.SetAuthHeader(r)
		token = current.AccessToken
	}
	resp, err := w.client.Do(r)
	if err != nil {
		t.err = err
		t.again = !t.connected && mayConnect(ctx, err)
		return t
	}
	defer resp.Body.Close()
	t.read(ctx, resp)
	if t.status == http.StatusUnauthorized && w.token != nil {
		w.token.ResetTokenOlderThan(start)
		current, err := w.token.Token()
		t.again = err == nil && current.AccessToken != token // it was replaced a moment ago
	}
	return t
}

// target is the webhook's URL with the time that is left, as kube-apiserver gives it: in whole seconds,
// rounded up.
func (w *Webhook) target(ctx context.Context) string {
	target := *w.url
	if deadline, ok := ctx.Deadline(); ok {
		seconds := max(1, (time.Until(deadline)+time.Second-1)/time.Second)
		query := target.Query()
		query.Set("timeout", strconv.Itoa(int(seconds))+"s")
		target.RawQuery = query.Encode()
	}
	return target.String()
}
