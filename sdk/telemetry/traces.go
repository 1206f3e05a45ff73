package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// startTraces sets TracerProvider. The SDK reads OTEL_TRACES_SAMPLER itself; its default, and every
// "parentbased_" value, follows the caller's decision, so that a trace is whole or absent.
func (t *Telemetry) startTraces(ctx context.Context, cfg Config, res *resource.Resource) error {
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	for _, processor := range cfg.SpanProcessors {
		options = append(options, sdktrace.WithSpanProcessor(processor))
	}
	if exported("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return fmt.Errorf("span exporter: %w", err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	if len(options) == 1 {
		// Recording a span that nobody takes costs as much as one that somebody does.
		t.TracerProvider = tracenoop.NewTracerProvider()
		return nil
	}
	provider := sdktrace.NewTracerProvider(options...)
	t.TracerProvider = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}
