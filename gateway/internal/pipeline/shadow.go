package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Reviews that are with shadows hold the memory of their objects, after the live ones have given theirs back. So
// beyond so many, and so many bytes of objects, shadows miss a review.
const (
	maxShadowed      = 64
	maxShadowedBytes = 32 << 20
)

// ShadowObserver is told of what shadows would have done, from several goroutines at once.
type ShadowObserver interface {
	// Shadow is told of one shadow's part: what it would still change of the object that the live mutators have
	// made, what it would say against it, or why it failed. req is what it was asked about, live tells whether
	// the review was allowed.
	Shadow(ctx context.Context, req *admissionv1.AdmissionRequest, part *fold.Part, live bool)
	// ShadowsMissed is told of a review that shadows were not asked about.
	ShadowsMissed(ctx context.Context)
}

// Shadows asks backends about reviews that are answered already, and says what they would have done. It is safe
// for concurrent use.
type Shadows struct {
	pipeline *Pipeline
	observer ShadowObserver
	running  sync.WaitGroup

	mu     sync.Mutex
	asking map[*shadowed]struct{}
	bytes  int // of all of them
	closed bool
}

// shadowed is a review that is with shadows.
type shadowed struct {
	bytes  int
	cancel context.CancelFunc
	done   chan struct{} // closed when it no longer is
}

// NewShadows returns shadows whose matching and spans are the pipeline's, and of which the observer is told. Close
// ends them.
func NewShadows(p *Pipeline, observer ShadowObserver) *Shadows {
	return &Shadows{pipeline: p, observer: observer, asking: map[*shadowed]struct{}{}}
}

// Ask begins to ask shadows about a review that was answered, and returns at once. The record and the request
// are no longer changed by anybody; ctx lends its trace, but not its end. After Close nobody is asked.
func (s *Shadows) Ask(ctx context.Context, shadows []*Backend, req *admissionv1.AdmissionRequest, record *Record, allowed bool, namespaces route.Namespaces) {
	if len(shadows) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := len(req.GetObject()) + len(req.GetOldObject())
	switch {
	case s.closed:
		return
	case len(s.asking) == maxShadowed || s.bytes+size > maxShadowedBytes:
		s.observer.ShadowsMissed(ctx)
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	review := &shadowed{bytes: size, cancel: cancel, done: make(chan struct{})}
	s.asking[review] = struct{}{}
	s.bytes += size
	s.running.Go(func() {
		defer s.end(review)
		s.askAll(ctx, shadows, req, record, allowed, namespaces)
	})
}

// askAll asks the shadows that the review concerns, all at once. The document belongs to one goroutine, and so
// does what the shadows make of it.
func (s *Shadows) askAll(ctx context.Context, shadows []*Backend, req *admissionv1.AdmissionRequest, record *Record, allowed bool, namespaces route.Namespaces) {
	if record.Document.Changed() {
		req = withObject(req, record.Document.Bytes())
	}
	view := route.NewView(req, namespaces)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for _, backend := range shadows {
		part := &fold.Part{Backend: backend.Name, Required: backend.Required}
		matches, err := s.concerns(ctx, backend, view)
		switch {
		case err != nil:
			part.Fail(outcome.Undecided, err)
			s.observer.Shadow(ctx, req, part, allowed)
		case matches:
			waiting.Go(func() {
				s.ask(ctx, backend, part, req)
				s.observer.Shadow(ctx, req, part, allowed)
			})
		}
	}
}

// concerns tells whether a shadow is to be asked. Nobody is above to recover from a panic, which would take the
// gate down for the sake of one that is not even heard.
func (s *Shadows) concerns(ctx context.Context, backend *Backend, view *route.View) (matches bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("deciding whether it is concerned panicked: %v", r)
		}
	}()
	return s.pipeline.match(ctx, backend, view)
}

// end says that a review is no longer with shadows.
func (s *Shadows) end(review *shadowed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= review.bytes
	delete(s.asking, review)
	review.cancel()
	close(review.done)
}

// Wait returns when what was under way as it was called is over, or ctx is done.
func (s *Shadows) Wait(ctx context.Context) {
	s.mu.Lock()
	asking := slices.Collect(maps.Keys(s.asking))
	s.mu.Unlock()
	for _, review := range asking {
		select {
		case <-review.done:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends what is under way and waits for it. The observer is told of nothing afterwards.
func (s *Shadows) Close() {
	s.mu.Lock()
	s.closed = true
	for review := range s.asking {
		review.cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *Shadows) ask(ctx context.Context, backend *Backend, part *fold.Part, req *admissionv1.AdmissionRequest) {
	ctx, cancel := context.WithTimeout(ctx, backend.Timeout)
	defer cancel()
	ctx, span := s.pipeline.Tracer.Start(ctx, "shadow "+backend.Name)
	defer func() { endSpan(span, part, time.Now()) }()
	defer func() {
		if r := recover(); r != nil {
			part.Fail(outcome.Internal, fmt.Errorf("asking it panicked: %v", r))
		}
	}()
	start := time.Now()
	var err error
	if backend.Mutator != nil {
		err = mutateShadow(ctx, backend, part, req)
	} else {
		err = validateOne(ctx, backend, part, req)
	}
	part.Duration, part.Asked = time.Since(start), 1
	if err != nil {
		part.Fail(outcome.Of(err), err)
	}
}

// mutateShadow says what a mutator would still change of what the live ones have made. Its patch has to pass
// what a live one's has to.
func mutateShadow(ctx context.Context, backend *Backend, part *fold.Part, req *admissionv1.AdmissionRequest) error {
	resp, peer, err := backend.Mutator.Mutate(ctx, &admissionv1.MutateRequest{Handler: backend.Handler, Request: req})
	part.Peer = peer
	part.Outcome = gatewayv1.Outcome_OUTCOME_ALLOWED
	switch {
	case err != nil:
		return err
	case resp.GetDenial() != nil:
		part.Outcome, part.Denials = gatewayv1.Outcome_OUTCOME_DENIED, []*admissionv1.Denial{resp.GetDenial()}
		return nil
	case len(resp.GetOperations()) == 0:
		return nil
	}
	document := fold.NewDocument(req.GetObject())
	if err := backend.Guard.Check(req, resp.GetOperations(), document); err != nil {
		return outcome.New(outcome.BadPatch, err)
	}
	change, err := document.Apply(resp.GetOperations(), 1)
	if err != nil {
		return outcome.New(outcome.BadPatch, err)
	}
	if len(change.Fields) == 0 {
		return nil
	}
	part.Outcome, part.Ops, part.Fields = gatewayv1.Outcome_OUTCOME_CHANGED, change.Ops, change.Fields
	if _, err := fold.Verify(req, []*fold.Part{part}, document); err != nil {
		return outcome.New(outcome.BadPatch, err)
	}
	return nil
}
