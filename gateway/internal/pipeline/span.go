package pipeline

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatefold/gatefold/gateway/internal/fold"
)

// endSpan records a backend's part on its span. Values stay out of traces: they may be secrets.
func endSpan(span trace.Span, part *fold.Part) {
	defer span.End()
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
	if len(part.Ops) > 0 {
		changed := make([]string, len(part.Ops))
		for i, op := range part.Ops {
			changed[i] = op.GetPath()
		}
		span.SetAttributes(attribute.StringSlice("gatefold.changed", changed))
	}
	for _, denial := range part.Denials {
		span.AddEvent("denied", trace.WithAttributes(attribute.String("gatefold.denial", denial.GetMessage())))
	}
	if part.Failure != nil {
		span.SetAttributes(attribute.String("error.type", string(part.Failure.Cause)))
		span.SetStatus(codes.Error, part.Failure.Error())
	}
}
