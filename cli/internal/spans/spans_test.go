package spans

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatefold/gatefold/cli/internal/render"
)

func tracer(c *Collector, service string) trace.Tracer {
	return sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(c),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))),
	).Tracer("")
}

func TestTakeJoinsServices(t *testing.T) {
	c := NewCollector()
	ctx, outer := tracer(c, "gate").Start(t.Context(), "POST /mutate")
	_, inner := tracer(c, "mutator").Start(ctx, "gatefold.admission.v1.MutatorService/Mutate")
	id := outer.SpanContext().TraceID()

	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Take(short, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Take with open spans: %v", err)
	}

	inner.SetStatus(codes.Error, "broken")
	inner.End()
	time.AfterFunc(5*time.Millisecond, func() { outer.End() })
	got, err := c.Take(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := []render.Span{
		{ID: inner.SpanContext().SpanID().String(), Parent: outer.SpanContext().SpanID().String(), Service: "mutator", Name: "MutatorService/Mutate", Error: "broken"},
		{ID: outer.SpanContext().SpanID().String(), Service: "gate", Name: "POST /mutate"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(render.Span{}, "Start", "End")); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	again, err := c.Take(t.Context(), id)
	if err != nil || again != nil {
		t.Errorf("taken twice: %v, %v", again, err)
	}
}

func TestStop(t *testing.T) {
	c := NewCollector()
	_, before := tracer(c, "gate").Start(t.Context(), "before")
	c.Stop()
	before.End()
	_, after := tracer(c, "gate").Start(t.Context(), "after")
	after.End()
	if len(c.traces) != 0 {
		t.Errorf("a stopped collector holds %d traces", len(c.traces))
	}
}
