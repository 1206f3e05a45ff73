package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// call is one question to one mutator. What is below done belongs to the goroutine that asks until done is
// closed, and to the fold from then on.
type call struct {
	about  *fold.Document // the object that the mutator was asked about
	span   trace.Span
	cancel context.CancelFunc
	done   chan struct{}
	begun  time.Time

	response *admissionv1.MutateResponse
	peer     string
	err      error
	ended    time.Time
}

// took is the time between asking and the answer.
func (c *call) took() time.Duration { return c.ended.Sub(c.begun) }

// over tells whether the answer is there.
func (c *call) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// settled tells whether the answer would be no other for another object: who cannot be reached, or has no
// time, is not asked again for the sake of order.
func (c *call) settled() bool {
	return c.err != nil && slices.Contains(
		[]outcome.Cause{outcome.Unreachable, outcome.Timeout, outcome.NoTime, outcome.Busy, outcome.BreakerOpen, outcome.Canceled}, outcome.Of(c.err))
}

// ask asks one mutator about the object as it is now, in a goroutine that f.calls counts. It reports false when
// there is no time left to ask, which is the answer then.
func (f *folding) ask(ctx context.Context, i int) bool {
	t := f.turns[i]
	ctx, span := f.Tracer.Start(ctx, "mutate "+t.backend.Name)
	c := &call{about: f.document, span: span, cancel: func() {}, done: make(chan struct{}), begun: time.Now()}
	t.call = c
	request := &admissionv1.MutateRequest{Handler: t.backend.Handler, Request: f.request(t.part.Asked)}
	bounded, cancel, err := share(ctx, t.backend.Timeout, f.parts(), len(f.turns)-1-i)
	if err != nil {
		c.err, c.ended = err, c.begun // it was not asked
		close(c.done)
		return false
	}
	c.cancel = cancel
	t.part.Asked++
	span.SetAttributes(attribute.Int("gatefold.asked", t.part.Asked))
	f.calls.Go(func() {
		defer close(c.done)
		defer cancel()
		defer func() { c.ended = time.Now() }()
		// A panic here would take the whole gate down, where the HTTP server's own recovery does not reach.
		defer func() {
			if r := recover(); r != nil {
				c.err = outcome.New(outcome.Internal, fmt.Errorf("asking it panicked: %v", r))
			}
		}()
		c.response, c.peer, c.err = t.backend.Mutator.Mutate(bounded, request)
	})
	return true
}

// request is the review with the object as it is now. Who is asked again is asked under another uid, as
// kube-apiserver does it when it calls a webhook again (k8s.io/apiserver/pkg/admission/plugin/webhook/request):
// a service may give one uid one answer. The uid is made of the review's, so that it is the same again when
// kube-apiserver repeats the review.
func (f *folding) request(asked int) *admissionv1.AdmissionRequest {
	if asked == 0 && f.document == f.came {
		return f.review
	}
	request := withObject(f.review, f.document.Bytes())
	if asked > 0 {
		request.Uid = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", f.review.GetUid(), asked)).String()
	}
	return request
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

// drop forgets the answer of a mutator because it does not hold, and does not wait for one that is not there.
func (f *folding) drop(t *turn) {
	if t.call == nil {
		return
	}
	t.call.cancel()
	ended := time.Now()
	if t.call.over() {
		ended = t.call.ended
	}
	t.part.Duration += ended.Sub(t.call.begun)
	t.call.span.SetAttributes(attribute.String("gatefold.backend", t.backend.Name), attribute.String("gatefold.outcome", "stale"))
	t.call.span.End(trace.WithTimestamp(ended))
	t.call = nil
}

// abandon ends what is left of the calls when everything is settled.
func (f *folding) abandon() {
	for _, t := range f.turns {
		f.drop(t)
	}
}
