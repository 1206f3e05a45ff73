package harness

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"sync"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Span is one received span, with what tests ask of it.
type Span struct {
	// Service is the service.name of the program that made the span.
	Service string
	// Name is the span's name.
	Name string
	// TraceID, SpanID and ParentID are hex; ParentID is empty for a root.
	TraceID, SpanID, ParentID string
	// Attributes are the string, integer and boolean attributes as text.
	Attributes map[string]string
}

// Collector is an OTLP endpoint that remembers the spans it is sent.
type Collector struct {
	collectorv1.UnimplementedTraceServiceServer

	// Address is host:port, for plain gRPC.
	Address string

	server *grpc.Server
	mu     sync.Mutex
	spans  []Span
}

// StartCollector listens on a free loopback port.
func StartCollector(ctx context.Context) (*Collector, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the OTLP endpoint: %w", err)
	}
	c := &Collector{Address: listener.Addr().String(), server: grpc.NewServer()}
	collectorv1.RegisterTraceServiceServer(c.server, c)
	go func() { _ = c.server.Serve(listener) }() // ends with Stop
	return c, nil
}

// Env is the environment of a program that is to send its spans, and nothing else, here.
func (c *Collector) Env() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.Address,
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		"OTEL_METRICS_EXPORTER=none",
		"OTEL_LOGS_EXPORTER=none",
	}
}

// Stop closes the endpoint.
func (c *Collector) Stop() { c.server.Stop() }

// Trace is the spans received so far of one trace, in the order of their arrival.
func (c *Collector) Trace(id string) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var spans []Span
	for _, s := range c.spans {
		if s.TraceID == id {
			spans = append(spans, s)
		}
	}
	return spans
}

// Export implements the OTLP trace service.
func (c *Collector) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range req.GetResourceSpans() {
		service := attributes(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, newSpan(service, span))
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func newSpan(service string, s *tracev1.Span) Span {
	return Span{
		Service:    service,
		Name:       s.GetName(),
		TraceID:    hex.EncodeToString(s.GetTraceId()),
		SpanID:     hex.EncodeToString(s.GetSpanId()),
		ParentID:   hex.EncodeToString(s.GetParentSpanId()),
		Attributes: attributes(s.GetAttributes()),
	}
}

func attributes(list []*commonv1.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			m[kv.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			m[kv.GetKey()] = fmt.Sprint(v.IntValue)
		case *commonv1.AnyValue_BoolValue:
			m[kv.GetKey()] = fmt.Sprint(v.BoolValue)
		}
	}
	return m
}
