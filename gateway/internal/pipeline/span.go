package pipeline

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatefold/gatefold/gateway/internal/fold"
)

// spanBytes is about how much of a span the fields that a backend changed may take.
const spanBytes = 4 << 10

// maxEvents is how many conflicts a span tells of.
const maxEvents = 16

// endSpan records a backend's part on the span of the call that settled it, and ends the span at the time of
// the answer. Values stay out of traces: they may be secrets.
func endSpan(span trace.Span, part *fold.Part, at time.Time) {
	defer span.End(trace.WithTimestamp(at))
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("gatefold.backend", part.Backend),
		attribute.String("gatefold.outcome", fold.OutcomeName(part.Outcome)),
	)
	if part.Peer != "" {
		span.SetAttributes(attribute.String("gatefold.backend.peer", part.Peer))
	}
	if len(part.Fields) > 0 {
		span.SetAttributes(attribute.StringSlice("gatefold.changed", fold.Few(part.Fields, spanBytes)))
	}
	for _, conflict := range part.Conflicts[:min(len(part.Conflicts), maxEvents)] {
		span.AddEvent("conflict", trace.WithAttributes(
			attribute.String("gatefold.field", conflict.Field), attribute.String("gatefold.overruled", conflict.Backend)))
	}
	for _, denial := range part.Denials {
		span.AddEvent("denied", trace.WithAttributes(attribute.String("gatefold.denial", denial.GetMessage())))
	}
	if part.Failure != nil {
		span.SetAttributes(attribute.String("error.type", string(part.Failure.Cause)))
		span.SetStatus(codes.Error, part.Failure.Error())
	}
}
