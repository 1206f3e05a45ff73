package pipeline

import (
	"context"
	"time"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Mutate asks the mutators one after another, each about the object as it stands at its turn, until all
// have answered or the matter is settled. Parts are in the order of the plan, one for each mutator.
func (p *Pipeline) Mutate(ctx context.Context, plan *Plan, req *admissionv1.AdmissionRequest, namespaces route.Namespaces) []*fold.Part {
	parts := make([]*fold.Part, len(plan.Mutators))
	view := route.NewView(req, namespaces)
	var document *fold.Document // as the patches so far have made it
	settled := false
	for i, backend := range plan.Mutators {
		part := &fold.Part{Backend: backend.Name, Required: backend.Required, Outcome: gatewayv1.Outcome_OUTCOME_SKIPPED}
		parts[i] = part
		if !settled && p.match(ctx, backend, part, view) {
			changed := p.mutate(ctx, backend, turn{part, req, document, parts[:i], len(parts) - i - 1})
			if changed != nil && i+1 < len(parts) {
				req = withObject(req, changed.Bytes())
				view = route.NewView(req, namespaces)
			}
			if changed != nil {
				document = changed
			}
		}
		settled = settled || part.Final()
		p.Observer.Part(ctx, part)
	}
	return parts
}

// turn is one mutator's: its part, which mutate settles; the request with the object as it stands; that
// object as patched so far, nil before the first patch; and who has had a turn or will have one.
type turn struct {
	part     *fold.Part
	req      *admissionv1.AdmissionRequest
	document *fold.Document
	before   []*fold.Part
	after    int
}

// mutate asks one mutator and settles its part. It returns the changed object, nil for no change.
func (p *Pipeline) mutate(ctx context.Context, backend *Backend, t turn) *fold.Document {
	part := t.part
	ctx, cancel, err := share(ctx, backend.Timeout, t.before, t.after)
	if err != nil {
		part.Fail(outcome.Of(err), err)
		return nil
	}
	defer cancel()
	ctx, span := p.Tracer.Start(ctx, "mutate "+backend.Name)
	defer func() { endSpan(span, part) }()

	start := time.Now()
	resp, peer, err := backend.Mutator.Mutate(ctx, &admissionv1.MutateRequest{Handler: backend.Handler, Request: t.req})
	part.Duration, part.Peer = time.Since(start), peer
	if err != nil {
		part.Fail(outcome.Of(err), err)
		return nil
	}
	part.Warnings, part.Audit = resp.GetWarnings(), resp.GetAuditAnnotations()
	switch {
	case resp.GetDenial() != nil:
		part.Outcome, part.Denials = gatewayv1.Outcome_OUTCOME_DENIED, []*admissionv1.Denial{resp.GetDenial()}
		return nil
	case len(resp.GetOperations()) == 0:
		part.Outcome = gatewayv1.Outcome_OUTCOME_ALLOWED
		return nil
	}
	_, folding := p.Tracer.Start(ctx, "fold")
	defer folding.End()
	changed, err := backend.Guard.Apply(t.req, resp.GetOperations(), t.document)
	if err != nil {
		part.Fail(outcome.BadPatch, err)
		return nil
	}
	part.Outcome, part.Ops = gatewayv1.Outcome_OUTCOME_CHANGED, resp.GetOperations()
	return changed
}

// withObject returns req with another object. The rest is shared, so neither may be changed.
func withObject(req *admissionv1.AdmissionRequest, object []byte) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		Uid:                req.GetUid(),
		Kind:               req.GetKind(),
		Resource:           req.GetResource(),
		SubResource:        req.GetSubResource(),
		RequestKind:        req.GetRequestKind(),
		RequestResource:    req.GetRequestResource(),
		RequestSubResource: req.GetRequestSubResource(),
		Name:               req.GetName(),
		Namespace:          req.GetNamespace(),
		Operation:          req.GetOperation(),
		UserInfo:           req.GetUserInfo(),
		Object:             object,
		OldObject:          req.GetOldObject(),
		DryRun:             req.GetDryRun(),
		Options:            req.GetOptions(),
		NamespaceObject:    req.GetNamespaceObject(),
	}
}
