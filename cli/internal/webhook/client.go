// Package webhook asks a gate the way kube-apiserver does: by AdmissionReview over HTTPS.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// maxAnswer bounds an answer: a patch is at most a few objects large, and one is at most 3 MiB.
const maxAnswer = 32 << 20

// timeout is what kube-apiserver asks for by default (timeoutSeconds of a webhook registration).
const timeout = "10s"

// Client asks a gate. It is safe for concurrent use.
type Client struct {
	// HTTP trusts the gate's certificate.
	HTTP *http.Client
	// URL is the gate's, without a path.
	URL string
	// Telemetry traces the calls; the gate continues the trace.
	Telemetry *telemetry.Telemetry
}

// Mutate posts the review to /mutate. The answer has no decision: AdmissionReview has no place for it.
func (c *Client) Mutate(ctx context.Context, req *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error) {
	review, err := c.post(ctx, "/mutate", req.GetRequest())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.MutateResponse{ApiVersion: req.GetApiVersion(), Review: review}, nil
}

// Validate posts the review to /validate. See Mutate.
func (c *Client) Validate(ctx context.Context, req *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
	review, err := c.post(ctx, "/validate", req.GetRequest())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ValidateResponse{ApiVersion: req.GetApiVersion(), Review: review}, nil
}

func (c *Client) post(ctx context.Context, path string, req *admissionv1.AdmissionRequest) (review *gatewayv1.Review, err error) {
	ctx, span := c.Telemetry.TracerProvider.Tracer("github.com/gatefold/gatefold/cli").
		Start(ctx, "POST "+path, trace.WithSpanKind(trace.SpanKindClient))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	body, err := Encode(req)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path+"?timeout="+timeout, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the gate: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	c.Telemetry.Propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the gate: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the gate's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d: %s", resp.StatusCode, message(answer))
	}
	return decode(answer, req.GetUid())
}

// message returns the text of a failure, which is plain or a metav1.Status.
func message(body []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &status); err == nil && status.Message != "" {
		return status.Message
	}
	return strings.TrimSpace(string(body))
}
