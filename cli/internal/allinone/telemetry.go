package allinone

import (
	"context"
	"errors"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gatefold/gatefold/cli/internal/spans"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// allTelemetry is the telemetry of everybody in the process, each under a name of its own, with spans
// that are also collected for the report.
type allTelemetry struct {
	client, gateway, mutator, validator *telemetry.Telemetry
	spans                               *spans.Collector
}

func newTelemetry(ctx context.Context, o Options) (*allTelemetry, error) {
	t := &allTelemetry{spans: spans.NewCollector()}
	for service, into := range map[string]**telemetry.Telemetry{
		"client": &t.client, "gateway": &t.gateway, "mutator": &t.mutator, "validator": &t.validator,
	} {
		tel, err := telemetry.New(ctx, telemetry.Config{
			Service: service, Version: o.Version, Logs: o.Logs, Level: o.Level,
			SpanProcessors: []sdktrace.SpanProcessor{t.spans},
		})
		if err != nil {
			t.shutdown(ctx, &err)
			return nil, err
		}
		*into = tel
	}
	return t, nil
}

// shutdown sends what is held back, and joins what goes wrong to err.
func (t *allTelemetry) shutdown(ctx context.Context, err *error) {
	for _, tel := range []*telemetry.Telemetry{t.client, t.gateway, t.mutator, t.validator} {
		if tel != nil {
			*err = errors.Join(*err, tel.Shutdown(ctx))
		}
	}
}
