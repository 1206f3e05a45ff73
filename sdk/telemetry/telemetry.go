// Package telemetry sets up traces, metrics and logs for one process. What is exported, and where to, is
// said by the standard OTEL_* variables; with none of them set nothing leaves the process, and metrics are
// still there for Prometheus.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// flushTimeout bounds Shutdown: what a collector has not taken by then is lost, and the process ends.
const flushTimeout = 5 * time.Second

// Config says whose telemetry this is.
type Config struct {
	// Service is service.name and the "service" field of each log line; OTEL_SERVICE_NAME overrides the
	// former.
	Service string
	// Version is service.version; empty: left out.
	Version string
	// Logs receives JSON lines; nil: standard error.
	Logs io.Writer
	// Level is the least severe level that is logged; nil: Info.
	Level slog.Leveler
	// SpanProcessors receive spans beside what the environment asks for; Shutdown shuts them down.
	SpanProcessors []sdktrace.SpanProcessor
}

// Telemetry is handed to everything that logs, measures or traces; nothing uses the packages' globals. All
// fields are set and safe for concurrent use.
type Telemetry struct {
	// Logger adds trace_id and span_id of the context's span.
	Logger *slog.Logger
	// TracerProvider starts no spans of its own, but passes on the caller's, when nothing takes spans.
	TracerProvider trace.TracerProvider
	// MeterProvider feeds Metrics, and an OTLP exporter when there is one.
	MeterProvider metric.MeterProvider
	// Propagator is W3C trace context alone: baggage comes from users and is dropped here.
	Propagator propagation.TextMapPropagator
	// Metrics serves the metrics to Prometheus, with exemplars in the OpenMetrics format.
	Metrics http.Handler

	shutdown []func(context.Context) error
}

// New sets up telemetry from cfg and the OTEL_* variables. It makes the returned logger the receiver of
// OpenTelemetry's own complaints, process-wide; see reportInternals.
func New(ctx context.Context, cfg Config) (_ *Telemetry, err error) {
	t := &Telemetry{Propagator: propagation.TraceContext{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("setting up telemetry: %w", err), t.Shutdown(ctx))
		}
	}()
	res, err := describe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := t.startLogs(ctx, cfg, res); err != nil {
		return nil, err
	}
	if err := t.startTraces(ctx, cfg, res); err != nil {
		return nil, err
	}
	if err := t.startMetrics(ctx, res); err != nil {
		return nil, err
	}
	return t, nil
}

// Discard returns telemetry that goes nowhere, for tests.
func Discard() *Telemetry {
	return &Telemetry{
		Logger:         slog.New(slog.DiscardHandler),
		TracerProvider: tracenoop.NewTracerProvider(),
		MeterProvider:  metricnoop.NewMeterProvider(),
		Propagator:     propagation.TraceContext{},
		Metrics:        http.NotFoundHandler(),
	}
}

// Shutdown sends what is still held back and stops the exporters; it takes at most five seconds, whatever
// ctx allows, and works with a ctx that is already done.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	var errs []error
	for _, stop := range slices.Backward(t.shutdown) {
		errs = append(errs, stop(ctx))
	}
	t.shutdown = nil
	return errors.Join(errs...)
}

// describe names the process. The environment comes last, so that OTEL_RESOURCE_ATTRIBUTES and
// OTEL_SERVICE_NAME win over what the program says.
func describe(ctx context.Context, cfg Config) (*resource.Resource, error) {
	options := []resource.Option{
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName(cfg.Service)),
	}
	if cfg.Version != "" {
		options = append(options, resource.WithAttributes(semconv.ServiceVersion(cfg.Version)))
	}
	res, err := resource.New(ctx, append(options, resource.WithFromEnv())...)
	if err != nil {
		return nil, fmt.Errorf("describing the process: %w", err)
	}
	return res, nil
}

// exported tells whether the environment asks for signal ("TRACES", "METRICS", "LOGS") to be exported.
// autoexport alone would send to localhost:4318 when nothing is set, and complain for ever.
func exported(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
