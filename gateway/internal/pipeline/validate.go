package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Validate asks all the validators that match at once, and waits for every answer, so that the user
// learns of everything that is wrong in one go. Parts are in the order of the plan.
func (p *Pipeline) Validate(ctx context.Context, plan *Plan, req *admissionv1.AdmissionRequest, namespaces route.Namespaces) *Record {
	parts := make([]*fold.Part, len(plan.Validators))
	view := route.NewView(req, namespaces)
	var waiting sync.WaitGroup
	for i, backend := range plan.Validators {
		part := &fold.Part{Backend: backend.Name, Required: backend.Required}
		parts[i] = part
		matches, err := p.match(ctx, backend, view)
		if err != nil {
			part.Fail(outcome.Undecided, err)
		}
		if !matches {
			if err == nil {
				part.Outcome = gatewayv1.Outcome_OUTCOME_NOT_MATCHED
			}
			p.Observer.Part(ctx, part)
			continue
		}
		waiting.Go(func() {
			defer p.Observer.Part(ctx, part)
			// A panic here would take the whole gate down, where the HTTP server's own recovery does not reach.
			defer func() {
				if r := recover(); r != nil {
					part.Fail(outcome.Internal, fmt.Errorf("asking it panicked: %v", r))
				}
			}()
			p.validate(ctx, backend, part, req)
		})
	}
	waiting.Wait()
	return &Record{Parts: parts, Document: fold.NewDocument(req.GetObject())}
}

// validate asks one validator and settles its part.
func (p *Pipeline) validate(ctx context.Context, backend *Backend, part *fold.Part, req *admissionv1.AdmissionRequest) {
	ctx, cancel, err := share(ctx, backend.Timeout, nil, 0)
	if err != nil {
		part.Fail(outcome.Of(err), err)
		return
	}
	defer cancel()
	ctx, span := p.Tracer.Start(ctx, "validate "+backend.Name)
	defer func() { endSpan(span, part, time.Now()) }()

	start := time.Now()
	err = validateOne(ctx, backend, part, req)
	part.Duration, part.Asked = time.Since(start), 1
	if err != nil {
		part.Fail(outcome.Of(err), err)
	}
}

// validateOne asks a validator, and puts down what it says.
func validateOne(ctx context.Context, backend *Backend, part *fold.Part, req *admissionv1.AdmissionRequest) error {
	resp, peer, err := backend.Validator.Validate(ctx, &admissionv1.ValidateRequest{Handler: backend.Handler, Request: req})
	part.Peer = peer
	if err != nil {
		return err
	}
	part.Warnings, part.Audit = resp.GetWarnings(), resp.GetAuditAnnotations()
	part.Outcome, part.Denials = gatewayv1.Outcome_OUTCOME_ALLOWED, resp.GetDenials()
	if len(part.Denials) > 0 {
		part.Outcome = gatewayv1.Outcome_OUTCOME_DENIED
	}
	return nil
}
