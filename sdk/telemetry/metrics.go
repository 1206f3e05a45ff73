package telemetry

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	prometheusexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// startMetrics sets MeterProvider and Metrics. Exemplars are on by the SDK's default ("trace_based"):
// measurements made in a sampled span carry its trace id.
func (t *Telemetry) startMetrics(ctx context.Context, res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	reader, err := prometheusexporter.New(
		prometheusexporter.WithRegisterer(registry),
		prometheusexporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		prometheusexporter.WithoutScopeInfo(),
	)
	if err != nil {
		return fmt.Errorf("prometheus exporter: %w", err)
	}
	options := []sdkmetric.Option{
		sdkmetric.WithResource(res),
		sdkmetric.WithReader(reader),
		sdkmetric.WithView(callDurations()),
	}
	// "prometheus" asks for what is there already; autoexport would start a second server for it.
	pushed := exported("METRICS") && os.Getenv("OTEL_METRICS_EXPORTER") != "prometheus"
	if pushed {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("metric exporter: %w", err)
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.MeterProvider = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	if pushed {
		// Prometheus has the Go collector for this; who only takes OTLP would not see the runtime.
		if err := runtime.Start(runtime.WithMeterProvider(provider)); err != nil {
			return fmt.Errorf("runtime metrics: %w", err)
		}
	}
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry:          registry,
		EnableOpenMetrics: true, // the only text format that carries exemplars
	})
	return nil
}

// callDurations gives gRPC's call durations buckets for calls that take well under a millisecond; the
// instrumentation's own begin at 5 ms, above nearly every call we make.
func callDurations() sdkmetric.View {
	return sdkmetric.NewView(
		sdkmetric.Instrument{Name: "rpc.*.call.duration"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{
			Boundaries: []float64{
				0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
			},
		}},
	)
}
