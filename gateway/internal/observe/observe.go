// Package observe counts and times what the gate does. What is measured is the outcome itself, in one
// place, so that no failed decision can be counted as a good one.
package observe

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
)

// Recorder records decisions and the backends' parts in them. It is safe for concurrent use.
type Recorder struct {
	logger    *slog.Logger
	decisions metric.Float64Histogram
	verdicts  metric.Int64Counter
	backends  metric.Float64Histogram
	failures  metric.Int64Counter
	inFlight  metric.Int64UpDownCounter
}

// buckets suit answers between a tenth of a millisecond and the thirty seconds kube-apiserver waits at most.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New returns a recorder that measures with provider.
func New(provider metric.MeterProvider, logger *slog.Logger) (*Recorder, error) {
	meter := provider.Meter("github.com/gatefold/gatefold/gateway")
	r := &Recorder{logger: logger}
	var err error
	histogram := func(name, description string) metric.Float64Histogram {
		h, e := meter.Float64Histogram(name, metric.WithDescription(description), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...))
		if e != nil {
			err = e
		}
		return h
	}
	counter := func(name, description string) metric.Int64Counter {
		c, e := meter.Int64Counter(name, metric.WithDescription(description))
		if e != nil {
			err = e
		}
		return c
	}
	r.decisions = histogram("gatefold.decision.duration", "Time from decoded review to answer.")
	r.verdicts = counter("gatefold.decisions", "Reviews by verdict: allowed, denied, or failed.")
	r.backends = histogram("gatefold.backend.duration", "Time between asking a backend and its answer.")
	r.failures = counter("gatefold.failures", "Failures by cause; those without a backend are of the review as a whole.")
	inFlight, e := meter.Int64UpDownCounter("gatefold.decisions.in_flight", metric.WithDescription("Reviews that are being decided."))
	if e != nil {
		err = e
	}
	r.inFlight = inFlight
	return r, err
}

// Part records one backend's part.
func (r *Recorder) Part(ctx context.Context, part *fold.Part) {
	backend := attribute.String("backend", part.Backend)
	if part.Duration > 0 {
		r.backends.Record(ctx, part.Duration.Seconds(), metric.WithAttributeSet(
			attribute.NewSet(backend, attribute.String("outcome", fold.OutcomeName(part.Outcome)))))
	}
	if part.Failure == nil {
		return
	}
	r.failures.Add(ctx, 1, metric.WithAttributes(backend, attribute.String("cause", string(part.Failure.Cause)),
		attribute.Bool("required", part.Required)))
	r.logger.WarnContext(ctx, "backend failed", "backend", part.Backend, "required", part.Required,
		"cause", string(part.Failure.Cause), "error", part.Failure.Error())
}

// Failure records a review that failed before any backend was asked.
func (r *Recorder) Failure(ctx context.Context, cause string, err error) {
	r.failures.Add(ctx, 1, metric.WithAttributes(attribute.String("cause", cause)))
	r.logger.WarnContext(ctx, "review failed", "cause", cause, "error", err.Error())
}

// Begin records that a review has come; the returned function records its end.
func (r *Recorder) Begin(ctx context.Context, phase string, req *admissionv1.AdmissionRequest) (end func(verdict, message string)) {
	start := time.Now()
	r.inFlight.Add(ctx, 1)
	return func(verdict, message string) {
		took := time.Since(start)
		r.inFlight.Add(ctx, -1)
		set := metric.WithAttributeSet(attribute.NewSet(attribute.String("phase", phase), attribute.String("verdict", verdict)))
		r.decisions.Record(ctx, took.Seconds(), set)
		r.verdicts.Add(ctx, 1, set)
		r.log(ctx, phase, req, verdict, message, took)
	}
}

// log says who was refused what; the object itself is never logged, it may hold secrets.
func (r *Recorder) log(ctx context.Context, phase string, req *admissionv1.AdmissionRequest, verdict, message string, took time.Duration) {
	level := slog.LevelInfo
	switch verdict {
	case Allowed:
		level = slog.LevelDebug
	case Failed:
		level = slog.LevelWarn
	}
	if !r.logger.Enabled(ctx, level) {
		return
	}
	r.logger.LogAttrs(ctx, level, "decided",
		slog.String("phase", phase), slog.String("verdict", verdict),
		slog.String("uid", req.GetUid()), slog.String("operation", Operation(req)), slog.String("resource", Resource(req)),
		slog.String("namespace", req.GetNamespace()), slog.String("name", req.GetName()), slog.String("user", req.GetUserInfo().GetUsername()),
		slog.Float64("seconds", took.Seconds()), slog.String("message", message))
}
