// Package webhook is the gate's HTTPS face: it takes AdmissionReviews as kube-apiserver posts them, and
// ImageReviews as its ImagePolicyWebhook plugin does, calls the gate's own API through grpc-gateway's mux, and
// answers as outcome's table says.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/codec"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// Recorder is told of reviews that failed before a backend was asked.
type Recorder interface {
	Failure(ctx context.Context, cause string, err error)
}

// Config is what the handler needs.
type Config struct {
	// Gate decides.
	Gate gatewayv1.GateServiceServer
	// ReviewBytes is the largest review, InFlightBytes the most of them in memory at once, in bytes.
	ReviewBytes, InFlightBytes int64
	// Tracer and Propagator continue kube-apiserver's trace.
	Tracer     trace.Tracer
	Propagator propagation.TextMapPropagator
	// Recorder is told of failures.
	Recorder Recorder
	// Logger is told of answers that could not be written.
	Logger *slog.Logger
}

// imagesPath is where ImageReviews go.
const imagesPath = "/imagereview"

// Handler serves exactly POST /mutate, POST /validate and POST /imagereview. It never redirects: kube-apiserver
// would follow, with its credentials (CVE-2020-8561).
type Handler struct {
	cfg    Config
	mux    *runtime.ServeMux
	memory *semaphore.Weighted
}

// New returns a handler for cfg.
func New(ctx context.Context, cfg Config) (*Handler, error) {
	h := &Handler{cfg: cfg, memory: semaphore.NewWeighted(cfg.InFlightBytes)}
	h.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{cfg.Tracer}),
		runtime.WithForwardResponseRewriter(withContext),
		runtime.WithErrorHandler(h.fail),
		// The request's headers are for HTTP: none of them becomes gRPC metadata, none changes the method.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithWriteContentLength(),
	)
	if err := gatewayv1.RegisterGateServiceHandlerServer(ctx, h.mux, cfg.Gate); err != nil {
		return nil, fmt.Errorf("registering the gate's HTTP routes: %w", err)
	}
	return h, nil
}

// ServeHTTP answers one review.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code, text := refuse(r); code != 0 {
		if code == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		h.cfg.Recorder.Failure(r.Context(), string(outcome.BadReview), errors.New(text))
		writeText(w, code, text)
		return
	}
	// From here, not from when the review has arrived: kube-apiserver's clock runs while it sends.
	ctx, cancel := withDeadline(r.Context(), r)
	defer cancel()
	ctx = h.cfg.Propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, span := h.cfg.Tracer.Start(ctx, "review "+r.URL.Path, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path)))
	defer span.End()
	// What the client announces is what will have to be held; when it announces nothing, the most it can be.
	size := r.ContentLength
	if size < 0 || size > h.cfg.ReviewBytes {
		size = h.cfg.ReviewBytes
	}
	if !h.memory.TryAcquire(size) {
		h.failReview(ctx, w, outcome.New(outcome.Overloaded, errors.New("too many reviews at once, come again")))
		return
	}
	defer h.memory.Release(size)

	data, err := read(r, h.cfg.ReviewBytes)
	switch {
	case errors.Is(err, errTooLarge):
		h.tooLarge(ctx, w, r.URL.Path, data)
		return
	case err != nil:
		h.failReview(ctx, w, outcome.New(outcome.Canceled, fmt.Errorf("the review did not arrive whole: %w", err)))
		return
	}
	r = r.WithContext(ctx)
	r.Body = &body{ctx: ctx, data: data, image: r.URL.Path == imagesPath}
	r.Header.Del("Grpc-Timeout") // the deadline is ?timeout= and nothing else
	h.mux.ServeHTTP(w, r)
}

// refuse says why r cannot be a review; code 0 means that it can.
func refuse(r *http.Request) (code int, text string) {
	switch r.URL.EscapedPath() {
	case "/mutate", "/validate", imagesPath:
	default:
		return http.StatusNotFound, fmt.Sprintf("there is nothing at %s; reviews go to exactly /mutate, /validate or /imagereview", r.URL.EscapedPath())
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, fmt.Sprintf("%s is not allowed; reviews are sent by POST", r.Method)
	}
	contentType := r.Header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "application/json" {
		return http.StatusUnsupportedMediaType, fmt.Sprintf("content type is %q, expected application/json", contentType)
	}
	return 0, ""
}

var errTooLarge = errors.New("the review is too large")

// read returns the body, or errTooLarge and its beginning.
func read(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		beginning, err := io.ReadAll(io.LimitReader(r.Body, beginningBytes))
		return beginning, errors.Join(err, errTooLarge)
	}
	if r.ContentLength >= 0 {
		data := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, data)
		return data, err
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		return data[:min(len(data), beginningBytes)], errTooLarge
	}
	return data, err
}

// beginningBytes hold the uid of a review: nothing before it is longer than a line.
const beginningBytes = 4 << 10

// tooLarge refuses a review, so that neither a failure policy nor defaultAllow lets the object in unseen. An
// AdmissionReview is refused by its uid; only when none can be found it is a failure.
func (h *Handler) tooLarge(ctx context.Context, w http.ResponseWriter, path string, beginning []byte) {
	failure := outcome.New(outcome.TooLarge, fmt.Errorf("the review is larger than the gate takes (limits.reviewBytes: %d)", h.cfg.ReviewBytes))
	apiVersion, uid, ok := codec.V1alpha1, "", true
	if path != imagesPath {
		apiVersion, uid, ok = codec.Prefix(beginning)
	}
	if !ok {
		h.failReview(ctx, w, failure)
		return
	}
	answer, err := encode(apiVersion, &gatewayv1.Review{
		Uid:    uid,
		Status: &gatewayv1.Status{Message: failure.Error(), Reason: "RequestEntityTooLarge", Code: http.StatusRequestEntityTooLarge},
	})
	if err != nil {
		h.failReview(ctx, w, err)
		return
	}
	h.cfg.Recorder.Failure(ctx, string(outcome.TooLarge), failure)
	w.Header().Set("Content-Type", contentType)
	h.write(ctx, w, answer)
}

// fail is the mux's error handler.
func (h *Handler) fail(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	h.failReview(ctx, w, err)
}

// failReview answers a failure as outcome's table says. kube-apiserver shows the text to the user.
func (h *Handler) failReview(ctx context.Context, w http.ResponseWriter, err error) {
	span := trace.SpanFromContext(ctx)
	cause := outcome.Of(err)
	code, again := outcome.HTTP(err)
	span.SetAttributes(attribute.String("error.type", string(cause)), attribute.Int("http.response.status_code", code))
	if !outcome.OfBackends(err) {
		h.cfg.Recorder.Failure(ctx, string(cause), err)
	}
	if again {
		w.Header().Set("Retry-After", "1")
	}
	writeText(w, code, outcome.Text(err))
}

func (h *Handler) write(ctx context.Context, w http.ResponseWriter, data []byte) {
	if _, err := w.Write(data); err != nil {
		h.cfg.Logger.WarnContext(ctx, "the answer could not be sent", "error", err.Error())
	}
}

// writeText answers with plain text. Nobody is left to tell when it cannot be sent.
func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
}
