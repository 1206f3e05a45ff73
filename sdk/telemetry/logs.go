package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// scope names our log records in OTLP.
const scope = "github.com/gatefold/gatefold/sdk/telemetry"

// startLogs sets Logger: JSON lines, and OTLP records beside them when the environment asks for it.
func (t *Telemetry) startLogs(ctx context.Context, cfg Config, res *resource.Resource) error {
	writer, level := cfg.Logs, cfg.Level
	if writer == nil {
		writer = os.Stderr //nolint:forbidigo // the documented default of Config.Logs
	}
	if level == nil {
		level = slog.LevelInfo
	}
	lines := slog.NewJSONHandler(writer, &slog.HandlerOptions{Level: level}).
		WithAttrs([]slog.Attr{slog.String("service", cfg.Service)})
	reportInternals(lines)

	var handler slog.Handler = traced{lines}
	if exported("LOGS") {
		exporter, err := autoexport.NewLogExporter(ctx)
		if err != nil {
			return fmt.Errorf("log exporter: %w", err)
		}
		provider := sdklog.NewLoggerProvider(
			sdklog.WithResource(res),
			sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)),
		)
		t.shutdown = append(t.shutdown, provider.Shutdown)
		records := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))
		handler = slog.NewMultiHandler(handler, leveled{records, level})
	}
	t.Logger = slog.New(handler)
	return nil
}

// reportInternals sends OpenTelemetry's own errors, such as a collector that cannot be reached, to our log
// lines. Its SDK knows no other receiver than a process-wide one, which otherwise writes unstructured text
// to standard error; this is the only place that sets it, and the last telemetry.New of a process wins.
// The lines go out as JSON only: an exporter's failure must not become a record for that exporter.
func reportInternals(lines slog.Handler) {
	logger := slog.New(lines)
	//nolint:forbidigo // the SDK reports its failures nowhere else
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("telemetry failed", "error", err)
	}))
	otel.SetLogger(logr.FromSlogHandler(lines)) //nolint:forbidigo // as above
}

// traced adds the ids of the context's span to each line.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record.AddAttrs(
			slog.String("trace_id", span.TraceID().String()),
			slog.String("span_id", span.SpanID().String()),
		)
	}
	return h.Handler.Handle(ctx, record)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traced{h.Handler.WithAttrs(attrs)}
}

func (h traced) WithGroup(name string) slog.Handler {
	return traced{h.Handler.WithGroup(name)}
}

// leveled drops what is below a level: the OTLP bridge has none of its own.
type leveled struct {
	slog.Handler
	level slog.Leveler
}

func (h leveled) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level.Level() && h.Handler.Enabled(ctx, level)
}

func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.level}
}

func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
