package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Mutate comes to what calling the mutators one after another would come to, each about the object as those
// before it have left it, and mostly asks all of them at once.
//
// Every mutator that concerns the review is asked about the object as it came. Then each has its turn, in the
// order of the plan. Where nothing that it observes has changed since it was asked, its answer holds, and its
// patch is carried over to the object as it is by now. Otherwise it is asked again, and with it all those after
// it whose answers no longer hold either.
func (p *Pipeline) Mutate(ctx context.Context, plan *Plan, req *admissionv1.AdmissionRequest, namespaces route.Namespaces) *Record {
	came := fold.NewDocument(req.GetObject())
	f := &folding{Pipeline: p, review: req, namespaces: namespaces, came: came, document: came}
	for _, backend := range plan.Mutators {
		f.turns = append(f.turns, &turn{backend: backend})
		f.before = append(f.before, came)
	}
	f.reset(0)
	f.run(ctx)
	record := &Record{Parts: f.parts(), Document: f.document, Rounds: f.rounds}
	for _, part := range record.Parts {
		p.Observer.Part(ctx, part)
	}
	return record
}

// folding is one mutating review under way.
type folding struct {
	*Pipeline

	review     *admissionv1.AdmissionRequest // as it came
	namespaces route.Namespaces
	turns      []*turn
	before     []*fold.Document // the object at the beginning of each turn so far
	came       *fold.Document   // the object as it came
	document   *fold.Document   // the object as it is now
	view       *route.View      // of document; nil until it is needed
	verified   *fold.Document   // what is known to be usable; nil for the object as it came
	rounds     int
	calls      sync.WaitGroup
}

// turn is one mutator's.
type turn struct {
	backend *Backend
	part    *fold.Part
	call    *call // nil when it was not asked, or the answer did not hold

	// Whether the mutator is concerned, and by which object that was decided; nil for not yet.
	matchedBy *fold.Document
	matches   bool
	matchErr  error
}

// maxSpeculation is how often a mutator is asked ahead of its turn. The second time is worth its cost: of the
// mutators behind one that changed something, most change nothing themselves. From then on each is asked at its
// turn, so that it is asked three times at most, unless a turn has to be taken again because somebody else's
// patch could not be used.
const maxSpeculation = 2

func (f *folding) run(ctx context.Context) {
	asking, cancel := context.WithCancel(ctx)
	defer f.calls.Wait()
	defer cancel() // whoever is still being asked will not be heard
	defer f.abandon()
	i := 0
	if len(f.turns) > 0 {
		f.ahead(asking, 0)
	}
	for {
		for i < len(f.turns) && (i == 0 || !f.turns[i-1].part.Final()) {
			i = f.take(asking, i)
		}
		culprit, ok := f.verify(ctx, i)
		if ok {
			return
		}
		i = culprit + 1
	}
}

// take gives turn i to its mutator and returns whose turn is next: mostly the one after it, but an earlier one
// if that turns out to have made the object unusable.
func (f *folding) take(ctx context.Context, i int) (next int) {
	t := f.turns[i]
	f.before[i] = f.document
	for {
		matches, err := f.concerns(ctx, t)
		if err != nil {
			t.part.Fail(outcome.Undecided, err)
			return i + 1
		}
		if !matches {
			t.part.Outcome = gatewayv1.Outcome_OUTCOME_NOT_MATCHED
			return i + 1
		}
		if t.call != nil && !f.mayHold(t) {
			f.drop(t) // there is no use in waiting for it
		}
		if t.call == nil {
			if culprit, ok := f.verify(ctx, i); !ok {
				return culprit + 1
			}
			f.ahead(ctx, i)
		}
		<-t.call.done
		if f.accept(ctx, i) {
			return i + 1
		}
		f.drop(t)
	}
}

// ahead asks the mutator whose turn is i, and those after it that have not been asked yet or whose answer
// will not hold.
func (f *folding) ahead(ctx context.Context, i int) {
	asked := false
	for j := i; j < len(f.turns); j++ {
		t := f.turns[j]
		if j > i && (t.part.Asked >= maxSpeculation || t.call != nil && f.mayHold(t)) {
			continue
		}
		if matches, err := f.concerns(ctx, t); err != nil || !matches {
			continue // what comes of that is for its turn
		}
		f.drop(t)
		asked = f.ask(ctx, j) || asked
	}
	if asked {
		f.rounds++
	}
}

// concerns tells whether the mutator is to be asked about the object as it is now.
func (f *folding) concerns(ctx context.Context, t *turn) (bool, error) {
	if t.matchedBy == nil || t.matchedBy != f.document && t.backend.Matcher.ReadsObject() {
		if f.view == nil {
			f.view = route.NewView(f.request(0), f.namespaces)
		}
		t.matches, t.matchErr = f.match(ctx, t.backend, f.view)
		t.matchedBy = f.document
	}
	return t.matches, t.matchErr
}

// holds tells whether the answer is what the mutator would say about the object as it is now.
func (f *folding) holds(t *turn) bool {
	return t.call.settled() || !t.backend.Observed.Changed(t.call.about, f.document)
}

// mayHold is holds for a mutator that may not have answered yet.
func (f *folding) mayHold(t *turn) bool {
	if t.call.over() {
		return f.holds(t)
	}
	return !t.backend.Observed.Changed(t.call.about, f.document)
}

// accept settles a turn by the mutator's answer. It reports false when the answer does not hold.
func (f *folding) accept(ctx context.Context, i int) bool {
	t := f.turns[i]
	c, part := t.call, t.part
	if !f.holds(t) {
		return false
	}
	switch {
	case c.err != nil:
		part.Fail(outcome.Of(c.err), c.err)
	case c.response.GetDenial() != nil:
		part.Outcome, part.Denials = gatewayv1.Outcome_OUTCOME_DENIED, []*admissionv1.Denial{c.response.GetDenial()}
	default:
		part.Outcome = gatewayv1.Outcome_OUTCOME_ALLOWED
		if err := f.fold(ctx, i); errors.Is(err, fold.ErrStale) {
			return false
		} else if err != nil {
			part.Fail(outcome.BadPatch, err)
		}
	}
	if part.Failure == nil {
		part.Warnings, part.Audit = c.response.GetWarnings(), c.response.GetAuditAnnotations()
	}
	part.Duration += c.took()
	part.Peer = c.peer
	endSpan(c.span, part, c.ended)
	t.call = nil
	return true
}

// fold carries the mutator's patch over to the object as it is now.
func (f *folding) fold(ctx context.Context, i int) error {
	t := f.turns[i]
	ops := t.call.response.GetOperations()
	if len(ops) == 0 {
		return nil
	}
	_, span := f.Tracer.Start(ctx, "fold "+t.backend.Name, trace.WithAttributes(
		attribute.String("gatefold.backend", t.backend.Name), attribute.Bool("gatefold.rebased", t.call.about != f.document)))
	defer span.End()
	if err := t.backend.Guard.Check(f.review, ops, t.call.about); err != nil {
		return err
	}
	change, err := f.document.Rebase(ops, t.call.about, i+1)
	if err != nil {
		return err
	}
	if len(change.Fields) == 0 {
		return nil // tests that hold, and values that were there already
	}
	part := t.part
	part.Outcome, part.Ops, part.Fields = gatewayv1.Outcome_OUTCOME_CHANGED, change.Ops, change.Fields
	for _, o := range change.Overruled {
		part.Conflicts = append(part.Conflicts, fold.Conflict{Field: o.Field, Backend: f.turns[o.By-1].backend.Name})
	}
	f.move(change.Document)
	return nil
}

// verify makes sure that what the mutators before turn i have made of the object can be used, before anybody
// sees it. If it cannot, the turn of the culprit is settled as failed, and everything is as it was before it.
func (f *folding) verify(ctx context.Context, i int) (culprit int, ok bool) {
	if f.document == f.came || f.document == f.verified {
		return 0, true
	}
	_, span := f.Tracer.Start(ctx, "verify")
	defer span.End()
	begun := time.Now()
	culprit, err := fold.Verify(f.review, f.parts()[:i], f.came)
	if err == nil {
		f.verified = f.document
		return 0, true
	}
	f.turns[culprit].part.Duration += time.Since(begun)
	span.SetAttributes(attribute.String("gatefold.backend", f.turns[culprit].backend.Name), attribute.String("error.type", string(outcome.BadPatch)))
	span.SetStatus(codes.Error, err.Error())
	f.reset(culprit + 1)
	f.move(f.before[culprit])
	f.turns[culprit].part.Fail(outcome.BadPatch, err)
	return culprit, false
}

// move makes document the object as it is now.
func (f *folding) move(document *fold.Document) { f.document, f.view = document, nil }

// reset begins the turns from one on anew, as if none of them had been taken. Answers stay, if they are about
// an object that still counts.
func (f *folding) reset(from int) {
	for _, t := range f.turns[from:] {
		part := &fold.Part{Backend: t.backend.Name, Required: t.backend.Required, Outcome: gatewayv1.Outcome_OUTCOME_SKIPPED}
		if t.part != nil {
			part.Asked, part.Duration = t.part.Asked, t.part.Duration
		}
		t.part = part
		if t.call != nil && !slices.Contains(f.before[:from], t.call.about) {
			f.drop(t)
		}
	}
}

func (f *folding) parts() []*fold.Part {
	parts := make([]*fold.Part, len(f.turns))
	for i, t := range f.turns {
		parts[i] = t.part
	}
	return parts
}
