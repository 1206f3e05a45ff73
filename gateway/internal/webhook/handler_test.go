package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace/noop"

	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

const review = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"CREATE","object":{}}}`

// busy is a gate that answers when it is let go.
type busy struct {
	gatewayv1.UnimplementedGateServiceServer
	entered, release chan struct{}
}

func (b busy) Mutate(ctx context.Context, in *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error) {
	b.entered <- struct{}{}
	<-b.release
	return &gatewayv1.MutateResponse{ApiVersion: in.GetApiVersion(), Review: &gatewayv1.Review{Uid: in.GetRequest().GetUid(), Allowed: true}}, nil
}

type failures struct{ causes []string }

func (f *failures) Failure(_ context.Context, cause string, _ error) {
	f.causes = append(f.causes, cause)
}

// TestOverload fills the memory that reviews may take: who comes then is asked to come again, in the words
// that kube-apiserver obeys, and is let in when there is room.
func TestOverload(t *testing.T) {
	gate := busy{entered: make(chan struct{}), release: make(chan struct{})}
	recorded := &failures{}
	handler, err := New(t.Context(), Config{
		Gate: gate, ReviewBytes: 1000, InFlightBytes: int64(len(review)) + 10,
		Tracer: noop.NewTracerProvider().Tracer(""), Propagator: propagation.TraceContext{}, Recorder: recorded, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	post := func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mutate?timeout=10s", strings.NewReader(review))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- post() }()
	<-gate.entered
	if w := post(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("the second is answered %d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	gate.release <- struct{}{}
	if w := <-first; w.Code != http.StatusOK {
		t.Errorf("the first is answered %d: %s", w.Code, w.Body)
	}
	go func() { <-gate.entered; gate.release <- struct{}{} }()
	if w := post(); w.Code != http.StatusOK {
		t.Errorf("the third is answered %d: %s", w.Code, w.Body)
	}
	if len(recorded.causes) != 1 || recorded.causes[0] != "overloaded" {
		t.Errorf("recorded %q", recorded.causes)
	}
}
