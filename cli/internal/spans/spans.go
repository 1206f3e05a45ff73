// Package spans collects the traces of one process, so that they can be shown to who caused them.
package spans

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatefold/gatefold/cli/internal/render"
)

// Collector is a span processor that remembers ended spans by trace. One Collector serves several
// tracer providers: that joins what the services of an all-in-one did. It is safe for concurrent use.
type Collector struct {
	mu      sync.Mutex
	traces  map[trace.TraceID]*collected
	stopped bool
}

type collected struct {
	open  int // spans that have started and not ended
	spans []render.Span
}

var _ sdktrace.SpanProcessor = (*Collector)(nil)

// NewCollector returns a Collector that remembers everything until it is stopped.
func NewCollector() *Collector { return &Collector{traces: map[trace.TraceID]*collected{}} }

// OnStart implements sdktrace.SpanProcessor.
func (c *Collector) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	id := s.SpanContext().TraceID()
	if c.traces[id] == nil {
		c.traces[id] = &collected{}
	}
	c.traces[id].open++
}

// OnEnd implements sdktrace.SpanProcessor.
func (c *Collector) OnEnd(s sdktrace.ReadOnlySpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.traces[s.SpanContext().TraceID()]
	if t == nil {
		return
	}
	t.open--
	t.spans = append(t.spans, convert(s))
}

// Shutdown implements sdktrace.SpanProcessor. It does nothing, as the providers of one process share
// the Collector.
func (c *Collector) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (c *Collector) ForceFlush(context.Context) error { return nil }

// Take waits until no span of a trace is open or ctx is done, and then returns the trace's ended spans
// and how many are open still, and forgets the trace. A server's span may end a little after its client
// has the answer.
func (c *Collector) Take(ctx context.Context, id trace.TraceID) (spans []render.Span, open int) {
	const interval = time.Millisecond
	for c.open(id) > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.traces[id]
	if t == nil {
		return nil, 0
	}
	delete(c.traces, id)
	return t.spans, t.open
}

// open counts the open spans of a trace.
func (c *Collector) open(id trace.TraceID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.traces[id]; t != nil {
		return t.open
	}
	return 0
}

// Stop forgets everything and remembers nothing more: nobody would ever take it.
func (c *Collector) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	clear(c.traces)
}

// shortName leaves the package out of the name of a gRPC call.
func shortName(name string) string {
	service, method, found := strings.Cut(name, "/")
	if found && strings.Contains(service, ".") && !strings.Contains(service, " ") {
		return service[strings.LastIndex(service, ".")+1:] + "/" + method
	}
	return name
}

func convert(s sdktrace.ReadOnlySpan) render.Span {
	out := render.Span{
		ID:    s.SpanContext().SpanID().String(),
		Name:  shortName(s.Name()),
		Start: s.StartTime(),
		End:   s.EndTime(),
	}
	if s.Parent().IsValid() {
		out.Parent = s.Parent().SpanID().String()
	}
	for _, a := range s.Attributes() {
		switch {
		case a.Key == "gatefold.asked" && a.Value.AsInt64() > 1:
			out.Name += " (asked again)"
		case a.Key == "gatefold.outcome" && a.Value.AsString() == "stale":
			out.Name += " (not used)"
		}
	}
	if service, ok := s.Resource().Set().Value("service.name"); ok {
		out.Service = service.AsString()
	}
	if s.Status().Code == codes.Error {
		out.Error = s.Status().Description
		if out.Error == "" {
			out.Error = "failed"
		}
	}
	return out
}
