// Package observe counts and times what the gate does. What is measured is the outcome itself, in one
// place, so that no failed decision can be counted as a good one.
package observe

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// Recorder records decisions and the backends' parts in them. It is safe for concurrent use.
type Recorder struct {
	logger    *slog.Logger
	decisions metric.Float64Histogram
	verdicts  metric.Int64Counter
	backends  metric.Float64Histogram
	failures  metric.Int64Counter
	inFlight  metric.Int64UpDownCounter
	rounds    metric.Int64Histogram
	again     metric.Int64Counter
	conflicts metric.Int64Counter
	breakers  metric.Int64UpDownCounter
	shadows   metric.Float64Histogram
	shadowed  metric.Int64Counter
}

// logBytes is about how much of a log line the fields that a backend changed may take.
const logBytes = 4 << 10

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
	gauge := func(name, description string) metric.Int64UpDownCounter {
		g, e := meter.Int64UpDownCounter(name, metric.WithDescription(description))
		if e != nil {
			err = e
		}
		return g
	}
	r.inFlight = gauge("gatefold.decisions.in_flight", "Reviews that are being decided.")
	rounds, e := meter.Int64Histogram("gatefold.mutate.rounds", metric.WithExplicitBucketBoundaries(0, 1, 2, 3, 4, 6, 8, 16),
		metric.WithDescription("How many times mutators had to be waited for one after another in a review; 1 when all were asked at once."))
	if e != nil {
		err = e
	}
	r.rounds = rounds
	r.again = counter("gatefold.backend.asked_again", "Times that a mutator was asked again, because an earlier one changed what it observes or patches.")
	r.conflicts = counter("gatefold.conflicts", "Values that one mutator set and a later one set to something else, or removed.")
	r.breakers = gauge("gatefold.backend.breaker_open", "1 while a backend is not asked because it did not answer lately.")
	r.shadows = histogram("gatefold.shadow.duration", "Time between asking a shadow and its answer, by what it would have done.")
	r.shadowed = counter("gatefold.shadow.differences", "Fields that a shadow would have made other than they are.")
	return r, err
}

// Part records one backend's part.
func (r *Recorder) Part(ctx context.Context, part *fold.Part) {
	backend := attribute.String("backend", part.Backend)
	if part.Duration > 0 {
		r.backends.Record(ctx, part.Duration.Seconds(), metric.WithAttributeSet(
			attribute.NewSet(backend, attribute.String("outcome", fold.OutcomeName(part.Outcome)))))
	}
	if part.Asked > 1 {
		r.again.Add(ctx, int64(part.Asked-1), metric.WithAttributes(backend))
	}
	for _, conflict := range part.Conflicts {
		r.conflicts.Add(ctx, 1, metric.WithAttributes(backend, attribute.String("overruled", conflict.Backend)))
	}
	if part.Failure == nil {
		return
	}
	labels := []attribute.KeyValue{backend, attribute.String("cause", string(part.Failure.Cause)), attribute.Bool("required", part.Required)}
	logged := []slog.Attr{
		slog.String("backend", part.Backend), slog.Bool("required", part.Required),
		slog.String("cause", string(part.Failure.Cause)), slog.String("error", part.Failure.Error()),
	}
	if wrong, ok := errors.AsType[*fold.PatchError](part.Failure); ok {
		labels = append(labels, attribute.String("operation", Area(wrong.Operation())))
		logged = append(logged, slog.String("patch_operation", wrong.Operation()))
	}
	r.failures.Add(ctx, 1, metric.WithAttributes(labels...))
	r.logger.LogAttrs(ctx, slog.LevelWarn, "backend failed", logged...)
}

// Rounds records how often a mutating review had to wait for mutators.
func (r *Recorder) Rounds(ctx context.Context, rounds int) { r.rounds.Record(ctx, int64(rounds)) }

// Breaker records that a backend's circuit breaker has opened or closed.
func (r *Recorder) Breaker(backend string, open bool) {
	ctx, change := context.Background(), int64(-1) // it is nobody's call in particular
	if open {
		change = 1
	}
	r.breakers.Add(ctx, change, metric.WithAttributes(attribute.String("backend", backend)))
	if open {
		r.logger.WarnContext(ctx, "backend is not asked any more, but for one call a second", "backend", backend)
	} else {
		r.logger.InfoContext(ctx, "backend is asked again", "backend", backend)
	}
}

// Shadow records what a shadow would have done.
func (r *Recorder) Shadow(ctx context.Context, part *fold.Part, live bool) {
	backend, what := attribute.String("backend", part.Backend), fold.OutcomeName(part.Outcome)
	if part.Failure != nil {
		what = Failed
	}
	verdict := Denied
	if live {
		verdict = Allowed
	}
	r.shadows.Record(ctx, part.Duration.Seconds(), metric.WithAttributes(backend, attribute.String("outcome", what), attribute.String("verdict", verdict)))
	for _, field := range part.Fields {
		r.shadowed.Add(ctx, 1, metric.WithAttributes(backend, attribute.String("field", Area(field))))
	}
	if part.Outcome == gatewayv1.Outcome_OUTCOME_ALLOWED && live {
		return
	}
	attrs := []slog.Attr{
		slog.String("backend", part.Backend), slog.String("outcome", what), slog.String("verdict", verdict),
		slog.Any("changed", fold.Few(part.Fields, logBytes)),
	}
	if len(part.Denials) > 0 {
		attrs = append(attrs, slog.String("message", part.Denials[0].GetMessage()))
	}
	if part.Failure != nil {
		attrs = append(attrs, slog.String("error", part.Failure.Error()))
	}
	r.logger.LogAttrs(ctx, slog.LevelInfo, "a shadow would have decided otherwise", attrs...)
}

// ShadowsMissed records a review that shadows were not asked about, because they are too slow for the load.
func (r *Recorder) ShadowsMissed(ctx context.Context) {
	r.failures.Add(ctx, 1, metric.WithAttributes(attribute.String("cause", string(outcome.ShadowsMissed))))
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
