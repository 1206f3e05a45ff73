package spans

import (
	"context"
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

	if open := c.open(id); open != 2 {
		t.Errorf("%d open spans", open)
	}

	inner.SetStatus(codes.Error, "broken")
	inner.End()
	time.AfterFunc(5*time.Millisecond, func() { outer.End() })
	got, open := c.Take(t.Context(), id)
	if open != 0 {
		t.Errorf("%d spans have not ended", open)
	}
	want := []render.Span{
		{ID: inner.SpanContext().SpanID().String(), Parent: outer.SpanContext().SpanID().String(), Service: "mutator", Name: "MutatorService/Mutate", Error: "broken"},
		{ID: outer.SpanContext().SpanID().String(), Service: "gate", Name: "POST /mutate"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(render.Span{}, "Start", "End")); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	if again, open := c.Take(t.Context(), id); again != nil || open != 0 {
		t.Errorf("taken twice: %v, %d", again, open)
	}
}

// TestNames: of the times that a mutator was asked, each says what became of it.
func TestNames(t *testing.T) {
	c := NewCollector()
	ctx, outer := tracer(c, "gate").Start(t.Context(), "review /mutate")
	for _, attributes := range [][]attribute.KeyValue{
		{attribute.Int("gatefold.asked", 1), attribute.String("gatefold.outcome", "stale")},
		{attribute.Int("gatefold.asked", 2), attribute.String("gatefold.outcome", "stale")},
		{attribute.Int("gatefold.asked", 3), attribute.String("gatefold.outcome", "changed")},
		{attribute.Int("gatefold.asked", 1), attribute.String("gatefold.outcome", "allowed")},
	} {
		_, span := tracer(c, "gate").Start(ctx, "mutate labels", trace.WithAttributes(attributes...))
		span.End()
	}
	outer.End()
	got, _ := c.Take(t.Context(), outer.SpanContext().TraceID())
	var names []string
	for _, s := range got {
		names = append(names, s.Name)
	}
	want := []string{"mutate labels (not used)", "mutate labels (asked again) (not used)", "mutate labels (asked again)", "mutate labels", "review /mutate"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestTakeDoesNotWaitForever: the call to a backend that cannot be reached may outlive the answer.
func TestTakeDoesNotWaitForever(t *testing.T) {
	c := NewCollector()
	ctx, outer := tracer(c, "gate").Start(t.Context(), "POST /mutate")
	_, stuck := tracer(c, "gate").Start(ctx, "gatefold.admission.v1.MutatorService/Mutate")
	outer.End()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	got, open := c.Take(short, outer.SpanContext().TraceID())
	if len(got) != 1 || got[0].Name != "POST /mutate" || open != 1 {
		t.Errorf("spans %v, %d open; want the one that has ended, and 1", got, open)
	}
	stuck.End()
	if len(c.traces) != 0 {
		t.Errorf("a trace that was taken is remembered: %v", c.traces)
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
