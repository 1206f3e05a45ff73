package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/gatefold/gatefold/gateway/internal/route"
)

// selfTest decides a review by the whole path of the HTTPS face, from bytes to bytes. The review concerns a
// resource that routes to no backend, so that a team's outage does not make the gate unready.
type selfTest struct{ handler http.Handler }

const selfTestUID = "gatefold-self-test"

func (t selfTest) check(ctx context.Context) error {
	// A parent that is not sampled keeps the test, which every probe runs, out of traces.
	ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/validate?timeout=1s", strings.NewReader(selfTestReview))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	if w.Code == http.StatusServiceUnavailable {
		return nil // busy, and saying so: to leave the endpoints would only make the other replicas busier
	}
	if w.Code != http.StatusOK {
		return fmt.Errorf("HTTP %d: %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	if !bytes.Contains(w.Body.Bytes(), []byte(`"uid":"`+selfTestUID+`","allowed":true`)) {
		return errors.New("the answer is not the expected one")
	}
	return nil
}

const selfTestReview = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + selfTestUID + `",` +
	`"kind":{"group":"` + route.SelfTestGroup + `","version":"v1","kind":"SelfTest"},` +
	`"resource":{"group":"` + route.SelfTestGroup + `","version":"v1","resource":"selftests"},` +
	`"name":"self-test","operation":"CREATE","userInfo":{},"object":{"kind":"SelfTest"},"dryRun":true}}`
