package allinone

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gatefold/gatefold/cli/internal/spans"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// allTelemetry is the telemetry of everybody in the process, each under a name of its own, with spans
// that are also collected for the report.
type allTelemetry struct {
	client, gateway, mutator, validator *telemetry.Telemetry
	spans                               *spans.Collector
	// serving is set once the examples are through.
	serving *atomic.Bool
}

func newTelemetry(ctx context.Context, o Options) (*allTelemetry, error) {
	t := &allTelemetry{spans: spans.NewCollector(), serving: &atomic.Bool{}}
	logs, lines := o.Logs, slog.DiscardHandler
	if !o.Verbose {
		logs, lines = io.Discard, calm{slog.NewTextHandler(o.Logs, nil), t.serving}
	}
	for service, into := range map[string]**telemetry.Telemetry{
		"client": &t.client, "gateway": &t.gateway, "mutator": &t.mutator, "validator": &t.validator,
	} {
		tel, err := telemetry.New(ctx, telemetry.Config{
			Service: service, Version: o.Version, Logs: logs,
			SpanProcessors: []sdktrace.SpanProcessor{t.spans},
		})
		if err != nil {
			t.shutdown(ctx, &err)
			return nil, err
		}
		tel.Logger = slog.New(slog.NewMultiHandler(tel.Logger.Handler(), lines.WithAttrs([]slog.Attr{slog.String("service", service)})))
		*into = tel
	}
	return t, nil
}

// calm passes on what somebody at a terminal has to know: errors, and what became of a change of the
// files. What happens to each review is in the report, or is the business of who sent it.
type calm struct {
	slog.Handler
	serving *atomic.Bool
}

// Handle implements slog.Handler.
func (c calm) Handle(ctx context.Context, record slog.Record) error {
	aboutFiles := slices.ContainsFunc([]string{"configuration reloaded", "policies in force", "about the policies"}, func(prefix string) bool {
		return strings.HasPrefix(record.Message, prefix)
	})
	// That the files were read at the start is no news.
	isNews := record.Level > slog.LevelInfo || c.serving.Load()
	if record.Level >= slog.LevelError || aboutFiles && isNews {
		return c.Handler.Handle(ctx, record)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	return calm{c.Handler.WithAttrs(attrs), c.serving}
}

// WithGroup implements slog.Handler.
func (c calm) WithGroup(name string) slog.Handler { return calm{c.Handler.WithGroup(name), c.serving} }

// shutdown sends what is held back, and joins what goes wrong to err.
func (t *allTelemetry) shutdown(ctx context.Context, err *error) {
	for _, tel := range []*telemetry.Telemetry{t.client, t.gateway, t.mutator, t.validator} {
		if tel != nil {
			*err = errors.Join(*err, tel.Shutdown(ctx))
		}
	}
}
