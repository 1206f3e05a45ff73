package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/gatefold/gatefold/sdk/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tests set the environment, so none of them is parallel.

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}
func (b *syncBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

// start clears the variables that the machine may have set, sets env, and shuts down when the test ends.
func start(t *testing.T, cfg telemetry.Config, env map[string]string) *telemetry.Telemetry {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	tel, err := telemetry.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return tel
}

// collector is an OTLP endpoint that remembers what it was sent, by path.
func collector(t *testing.T) (url string, sent func(path string) string) {
	t.Helper()
	var mu sync.Mutex
	bodies := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies[r.URL.Path] += string(body)
	}))
	t.Cleanup(server.Close)
	return server.URL, func(path string) string { mu.Lock(); defer mu.Unlock(); return bodies[path] }
}

var parent = trace.NewSpanContext(trace.SpanContextConfig{
	TraceID: trace.TraceID{1: 0xab}, SpanID: trace.SpanID{2: 0xcd}, TraceFlags: trace.FlagsSampled, Remote: true,
})

func TestNothingIsExportedUnlessAsked(t *testing.T) {
	cases := map[string]map[string]string{
		"nothing set":       {},
		"exporters off":     {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
		"all off":           {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"prometheus, as is": {"OTEL_METRICS_EXPORTER": "prometheus"},
	}
	for name, env := range cases {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			tel := start(t, telemetry.Config{Service: "svc", Logs: &log}, env)
			ctx := trace.ContextWithRemoteSpanContext(t.Context(), parent)
			ctx, span := tel.TracerProvider.Tracer("test").Start(ctx, "work")
			span.End()
			if span.IsRecording() || !span.SpanContext().Equal(parent) {
				t.Errorf("nobody takes spans, but one was recorded: %v", span.SpanContext())
			}
			carrier := propagation.MapCarrier{}
			tel.Propagator.Inject(ctx, carrier)
			if want := "00-00ab0000000000000000000000000000-0000cd0000000000-01"; carrier["traceparent"] != want {
				t.Errorf("the caller's trace context became %q, want %q", carrier["traceparent"], want)
			}
			if err := tel.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if log.String() != "" {
				t.Errorf("it complained: %s", log.String())
			}
		})
	}
}

func TestEverythingIsExportedWhenAsked(t *testing.T) {
	url, sent := collector(t)
	var log syncBuffer
	tel := start(t, telemetry.Config{Service: "svc", Version: "v1", Logs: &log}, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": url,
		"OTEL_RESOURCE_ATTRIBUTES":    "deployment.environment.name=attic,service.version=v2",
	})
	ctx, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "the-work")
	tel.Logger.InfoContext(ctx, "the-line")
	counter, err := tel.MeterProvider.Meter("test").Int64Counter("the-count")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(ctx, 1)
	span.End()
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := tel.Shutdown(done); err != nil { // the process's context is done by then
		t.Fatal(err)
	}
	for path, words := range map[string][]string{
		"/v1/traces":  {"the-work", "svc", "attic", "v2"},
		"/v1/metrics": {"the-count", "svc", "go.memory.used"},
		"/v1/logs":    {"the-line", "svc"},
	} {
		for _, word := range words {
			if !strings.Contains(sent(path), word) {
				t.Errorf("%s was not sent %q", path, word)
			}
		}
	}
}

func TestSamplingFollowsTheCaller(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tel := start(t, telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{recorder}},
		map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"})
	tracer := tel.TracerProvider.Tracer("test")
	_, root := tracer.Start(t.Context(), "root")
	root.End()
	_, child := tracer.Start(trace.ContextWithRemoteSpanContext(t.Context(), parent), "child")
	child.End()
	_, unsampled := tracer.Start(trace.ContextWithRemoteSpanContext(t.Context(), parent.WithTraceFlags(0)), "unsampled")
	unsampled.End()
	var got []string
	for _, span := range recorder.Ended() {
		got = append(got, span.Name())
	}
	if d := cmp.Diff([]string{"child"}, got); d != "" {
		t.Errorf("recorded spans (-want +got):\n%s", d)
	}
}

func TestLogLinesCarryTheTrace(t *testing.T) {
	var log syncBuffer
	tel := start(t, telemetry.Config{Service: "svc", Logs: &log, Level: slog.LevelWarn}, nil)
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), parent)
	tel.Logger.InfoContext(ctx, "below the level")
	tel.Logger.With("a", 1).WarnContext(ctx, "inside")
	tel.Logger.WarnContext(t.Context(), "outside")

	var got []map[string]any
	for line := range strings.Lines(log.String()) {
		fields := map[string]any{}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		delete(fields, "time")
		got = append(got, fields)
	}
	want := []map[string]any{
		{
			"level": "WARN", "msg": "inside", "service": "svc", "a": 1.0,
			"trace_id": "00ab0000000000000000000000000000", "span_id": "0000cd0000000000",
		},
		{"level": "WARN", "msg": "outside", "service": "svc"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

func TestMetricsForPrometheus(t *testing.T) {
	tel := start(t, telemetry.Config{Service: "svc"}, nil)
	histogram, err := tel.MeterProvider.Meter("test").Float64Histogram("gatefold.test.duration")
	if err != nil {
		t.Fatal(err)
	}
	histogram.Record(trace.ContextWithRemoteSpanContext(t.Context(), parent), 0.5)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	response := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(response, request)
	for _, want := range []string{
		"gatefold_test_duration_count 1\n",
		`trace_id="00ab0000000000000000000000000000"`, // an exemplar's: the order of its labels is not fixed
		`service_name="svc"`,
		"go_goroutines ",
		"process_cpu_seconds_total ",
	} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(response.Body.String())
	}
}

func TestBaggageIsDropped(t *testing.T) {
	carrier := propagation.MapCarrier{"baggage": "user=mallory", "traceparent": "00-00ab0000000000000000000000000000-0000cd0000000000-01"}
	tel := telemetry.Discard()
	out := propagation.MapCarrier{}
	tel.Propagator.Inject(tel.Propagator.Extract(t.Context(), carrier), out)
	if d := cmp.Diff(propagation.MapCarrier{"traceparent": carrier["traceparent"]}, out); d != "" {
		t.Errorf("passed on (-want +got):\n%s", d)
	}
}

func TestInternalErrorsAreLogged(t *testing.T) {
	var log syncBuffer
	start(t, telemetry.Config{Service: "svc", Logs: &log}, nil)
	otel.Handle(io.ErrUnexpectedEOF)
	if got := log.String(); !strings.Contains(got, `"msg":"telemetry failed","service":"svc","error":"unexpected EOF"`) {
		t.Errorf("log: %s", got)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer server.Close()
	defer close(stuck)
	var log syncBuffer
	for _, name := range []string{"OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"} {
		t.Setenv(name, "none")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	tel, err := telemetry.New(t.Context(), telemetry.Config{Logs: &log})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "work")
	span.End()
	began := time.Now()
	_ = tel.Shutdown(t.Context()) // whether the loss is an error is the SDK's affair
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("Shutdown took %s", took)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "pigeon")
	if _, err := telemetry.New(t.Context(), telemetry.Config{}); err == nil || !strings.Contains(err.Error(), "setting up telemetry: span exporter:") {
		t.Errorf("got %v", err)
	}
}
