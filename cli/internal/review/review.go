package review

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gatefold/gatefold/cli/internal/blame"
	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/tree"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// apiVersion is the version in which the gate is asked.
const apiVersion = "admission.k8s.io/v1"

// Gate decides about objects; gatewayv1.GateServiceServer is one.
type Gate interface {
	Mutate(ctx context.Context, req *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error)
	Validate(ctx context.Context, req *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error)
}

// Verdict is what became of an object.
type Verdict int

// The verdicts. Failed means that the question could not be answered, which is not a refusal.
const (
	Allowed Verdict = iota
	Denied
	Failed
)

// State is the object as one backend left it.
type State struct {
	Backend string
	Object  *tree.Node
}

// Result is what became of one object.
type Result struct {
	Object manifest.Object
	// Namespace is the object's namespace; empty for cluster-scoped objects.
	Namespace string
	// Notes say what was assumed about the object, for people; mostly there are none.
	Notes   []string
	Verdict Verdict
	// Status is the refusal; set exactly when Verdict is Denied.
	Status *gatewayv1.Status
	// Err says why there is no answer; set exactly when Verdict is Failed.
	Err error
	// Warnings and AuditAnnotations are those of both phases.
	Warnings         []string
	AuditAnnotations map[string]string
	// Steps are the backends' parts in both phases, mutators first.
	Steps []*gatewayv1.Step
	// Rounds is how many times mutators had to be waited for one after another; see gatewayv1.Decision.
	Rounds int
	// Shadows are the parts that shadows would have had, by their names.
	Shadows []*gatewayv1.Step
	// Patch is the folded patch of the mutators.
	Patch []*admissionv1.PatchOperation
	// States are the object after each mutator that changed it, in order. Like Final they are without
	// a namespace that the manifest leaves out.
	States []State
	// Mutated and Validated are the requests that were sent in the two phases; Validated is nil when it
	// did not come to that.
	Mutated, Validated *admissionv1.AdmissionRequest
	// Final is the object after all mutators; nil when they refused or failed, and on DELETE.
	Final *tree.Node
}

// Reviewer asks a gate about objects. It is safe for concurrent use when its gate is.
type Reviewer struct {
	// Gate is asked.
	Gate Gate
	// Decisions is what the gate in this process tells of its decisions.
	Decisions *Decisions
	// WaitShadows returns when shadows have said what they would have done about the reviews so far, or ctx is
	// done. Nil: nobody waits for them, and results are without them.
	WaitShadows func(ctx context.Context)
	// Requests makes the requests.
	Requests *Requests
}

// Review asks about o: all mutators, then all validators about what they made of it; of an ImageReview, the
// validators. The error is for an object about which nobody can be asked.
func (v *Reviewer) Review(ctx context.Context, o manifest.Object) (*Result, error) {
	s, err := v.Requests.subject(o)
	if err != nil {
		return nil, err
	}
	return v.ask(ctx, s), nil
}

// Question is a request that somebody else than Requests made, with what it is about.
type Question struct {
	// Object is the object as its author wrote it; that of a deletion is the old one.
	Object manifest.Object
	// Root is the object as the request has it.
	Root *tree.Node
	// Implicit tells that the object's namespace is not from its author.
	Implicit bool
	// Request is what is asked. Its uid is one that nobody else uses meanwhile.
	Request *admissionv1.AdmissionRequest
}

// Ask is Review with a request of the caller's.
func (v *Reviewer) Ask(ctx context.Context, q *Question) *Result {
	return v.ask(ctx, &subject{Object: q.Object, root: q.Root, implicit: q.Implicit, request: q.Request})
}

func (v *Reviewer) ask(ctx context.Context, s *subject) *Result {
	r := &Result{Object: s.Object, Namespace: s.request.GetNamespace(), Notes: s.notes, Mutated: s.request}
	if s.Kind() == "Namespace" && s.APIVersion() == "v1" {
		r.Namespace = ""
	}
	if s.unchanged {
		r.Notes = append(r.Notes, fmt.Sprintf("no old object for %s among --objects; it is compared with itself, so checks of changes see none", r.Name()))
	}
	if v.WaitShadows != nil {
		defer v.Decisions.expectShadows(s.request.GetUid())()
	}
	if err := v.phases(ctx, r, s); err != nil {
		r.Verdict, r.Err = Failed, err
	}
	if v.WaitShadows != nil {
		v.WaitShadows(ctx)
		r.Shadows = v.Decisions.shadowsOf(s.request.GetUid())
	}
	return r
}

func (v *Reviewer) mutate(ctx context.Context, r *Result, s *subject) (*tree.Node, error) {
	defer v.Decisions.expect(s.request.GetUid())()
	resp, err := v.Gate.Mutate(ctx, &gatewayv1.MutateRequest{ApiVersion: apiVersion, Request: s.request})
	decision := v.Decisions.decision(s.request.GetUid())
	r.Steps, r.Rounds = append(r.Steps, decision.GetSteps()...), int(decision.GetRounds())
	if err != nil {
		return nil, plain(err)
	}
	r.take(resp.GetReview())
	if r.Verdict != Allowed || len(s.request.GetObject()) == 0 {
		return nil, nil
	}
	r.Patch = resp.GetReview().GetOperations()
	final, err := apply(s.root, r.Patch)
	if err != nil {
		return nil, err
	}
	r.States, err = states(s, decision.GetSteps(), final)
	r.Final = s.asWritten(final)
	return final, err
}

func (v *Reviewer) validate(ctx context.Context, r *Result, s *subject, final *tree.Node) error {
	request := proto.CloneOf(s.request)
	if final != nil && len(r.Patch) > 0 {
		request.Object = final.JSON()
	}
	r.Validated = request
	defer v.Decisions.expect(request.GetUid())()
	resp, err := v.Gate.Validate(ctx, &gatewayv1.ValidateRequest{ApiVersion: apiVersion, Request: request})
	r.Steps = append(r.Steps, v.Decisions.decision(request.GetUid()).GetSteps()...)
	if err != nil {
		return plain(err)
	}
	r.take(resp.GetReview())
	return nil
}

// take adds one phase's answer.
func (r *Result) take(review *gatewayv1.Review) {
	r.Warnings = append(r.Warnings, review.GetWarnings()...)
	if r.AuditAnnotations == nil {
		r.AuditAnnotations = map[string]string{}
	}
	maps.Copy(r.AuditAnnotations, review.GetAuditAnnotations())
	if !review.GetAllowed() {
		r.Verdict, r.Status = Denied, review.GetStatus()
	}
}

// states applies the backends' patches one after another, and puts the members of final into the order
// that they got on the way. Should the way not lead to final, the rest is put down to the gate: it must
// not be hidden.
func states(s *subject, steps []*gatewayv1.Step, final *tree.Node) ([]State, error) {
	var out []State
	state := s.root
	for _, step := range steps {
		if len(step.GetOperations()) == 0 {
			continue
		}
		next, err := apply(state, step.GetOperations())
		if err != nil {
			return nil, fmt.Errorf("following the changes of %s: %w", step.GetBackend(), err)
		}
		state = next
		out = append(out, State{Backend: step.GetBackend(), Object: s.asWritten(state)})
	}
	final.Arrange(state)
	if !bytes.Equal(state.JSON(), final.JSON()) {
		out = append(out, State{Backend: "gate", Object: s.asWritten(final)})
	}
	return out, nil
}

// plain returns what a gRPC status says, without the words that gRPC puts around it.
func plain(err error) error {
	if st, ok := status.FromError(err); ok {
		return fmt.Errorf("%s", st.Message())
	}
	return err
}

// Story tells line by line what the mutators did to the object.
func (r *Result) Story() ([]blame.Line, error) {
	before, err := r.Object.Root.YAML()
	if err != nil {
		return nil, err
	}
	var versions []blame.Version
	for _, state := range r.States {
		text, err := state.Object.YAML()
		if err != nil {
			return nil, err
		}
		versions = append(versions, blame.Version{By: state.Backend, Text: text})
	}
	return blame.Lines(before, versions...), nil
}
