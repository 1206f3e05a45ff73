package sdk_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCallsAreTracedAndMeasured(t *testing.T) {
	var log strings.Builder
	recorder := tracetest.NewSpanRecorder()
	tel, err := telemetry.New(t.Context(), telemetry.Config{
		Service: "svc", Logs: &log, SpanProcessors: []sdktrace.SpanProcessor{recorder},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	server, listener := sdk.NewServer(sdk.Config{
		Telemetry: tel, Mutators: map[string]sdk.Mutator{"team": mutator(nil, errors.New("no database"))},
	}), sdktest.Listen(t)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	conn := sdktest.Dial(t, listener)

	ctx := metadata.AppendToOutgoingContext(context.Background(),
		"traceparent", "00-00ab0000000000000000000000000000-0000cd0000000000-01", "baggage", "user=mallory")
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	request := sdktest.PodRequest(t, pod)
	if _, err := admissionv1.NewMutatorServiceClient(conn).Mutate(ctx, &admissionv1.MutateRequest{Handler: "team", Request: request}); err == nil {
		t.Fatal("the handler's error was lost")
	}
	server.GracefulStop() // spans end after the answer is sent

	spans := recorder.Ended()
	if len(spans) != 1 {
		t.Fatalf("got %d spans, want the call's and none of the health check", len(spans))
	}
	span := spans[0]
	if span.SpanContext().TraceID() != span.Parent().TraceID() || span.Parent().SpanID().String() != "0000cd0000000000" {
		t.Errorf("the span is not the caller's child: %v", span.Parent())
	}
	got := attribute.NewSet(span.Attributes()...)
	for _, want := range []attribute.KeyValue{
		attribute.String("gatefold.handler", "team"),
		attribute.String("gatefold.request.uid", request.GetUid()),
		attribute.String("rpc.response.status_code", "INTERNAL"),
	} {
		if value, ok := got.Value(want.Key); !ok || value != want.Value {
			t.Errorf("span attribute %s: got %v, want %v", want.Key, value.String(), want.Value.String())
		}
	}
	for _, want := range []string{`"msg":"handler failed"`, `"error":"no database"`, `"trace_id":"00ab0000000000000000000000000000"`, `"uid":"` + request.GetUid()} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, log.String())
		}
	}

	response := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	var counts []string
	for line := range strings.Lines(response.Body.String()) {
		if strings.HasPrefix(line, "rpc_server_call_duration_seconds_count") {
			counts = append(counts, strings.TrimSpace(line))
		}
	}
	want := []string{`rpc_server_call_duration_seconds_count{error_type="INTERNAL",rpc_method="gatefold.admission.v1.MutatorService/Mutate",rpc_response_status_code="INTERNAL",rpc_system_name="grpc"} 1`}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
}

// BenchmarkMutate is one call in memory, to a handler that does nothing.
func BenchmarkMutate(b *testing.B) {
	unsampled, err := telemetry.New(b.Context(), telemetry.Config{
		Service: "svc", SpanProcessors: []sdktrace.SpanProcessor{tracetest.NewSpanRecorder()},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = unsampled.Shutdown(b.Context()) }()
	for name, tel := range map[string]*telemetry.Telemetry{"discard": telemetry.Discard(), "unsampled": unsampled} {
		b.Run(name, func(b *testing.B) {
			conn := sdktest.Start(b, sdk.Config{Telemetry: tel, Mutators: map[string]sdk.Mutator{"m": mutator(nil, nil)}})
			client := admissionv1.NewMutatorServiceClient(conn)
			ctx := metadata.AppendToOutgoingContext(context.Background(),
				"traceparent", "00-00ab0000000000000000000000000000-0000cd0000000000-00")
			request := sdktest.PodRequest(b, pod)
			request.Object = []byte(`{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 6<<10) + `"}}}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Mutate(ctx, &admissionv1.MutateRequest{Handler: "m", Request: request}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
