package quota

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/validator-svc/internal/claim"
)

// Validate implements sdk.Validator. Until what a rule counts is known it returns an error for every object that
// the rule may concern.
func (s *Set) Validate(ctx context.Context, req *sdk.Request) (*sdk.Verdict, error) {
	operation := req.GetOperation()
	if req.GetSubResource() != "" ||
		operation != admissionv1.Operation_OPERATION_CREATE && operation != admissionv1.Operation_OPERATION_UPDATE {
		return nil, nil
	}
	q := &question{req: req, namespaces: s.namespaces}
	verdict := &sdk.Verdict{}
	claimed := map[*rule]claim.Question{}
	failed := func(err error) (*sdk.Verdict, error) {
		q.giveUp(claimed)
		return nil, err
	}
	for _, r := range s.rules {
		if r.matcher.kind.Group != req.GetKind().GetGroup() || r.matcher.kind.Kind != req.GetKind().GetKind() {
			continue
		}
		counts, err := q.counts(ctx, r)
		if err != nil {
			return failed(err)
		}
		if !counts {
			continue
		}
		room := q.room(r)
		denial, err := q.ask(ctx, r, room)
		switch {
		case err != nil:
			return failed(err)
		case denial != nil:
			verdict.Denials = append(verdict.Denials, denial)
		default:
			claimed[r] = room
		}
	}
	if len(verdict.Denials) > 0 {
		q.giveUp(claimed)
	}
	return verdict, nil
}

// question is one request.
type question struct {
	req         *sdk.Request
	namespaces  Namespaces
	object, old *unstructured.Unstructured // nil until they are needed
}

// counts tells whether r counts the object from now on.
func (q *question) counts(ctx context.Context, r *rule) (bool, error) {
	if r.config.NamespaceSelector != nil && q.namespaceName() != "" {
		namespace, err := q.namespace(ctx)
		if err != nil {
			return false, err
		}
		if !r.matcher.namespaces.Matches(labels.Set(namespace.GetLabels())) {
			return false, nil
		}
	}
	if version := q.req.GetKind().GetVersion(); len(r.matcher.conditions) > 0 && version != r.matcher.kind.Version {
		return false, status.Errorf(codes.FailedPrecondition, "rule %s is written for %s, and the object came as %s; register the gate for the version of the rule, so that kube-apiserver converts it",
			r.config.Name, describe(r.matcher.kind), version)
	}
	if err := q.decode(); err != nil {
		return false, err
	}
	matches, err := r.matcher.matches(ctx, q.object)
	if err != nil {
		return false, unjudged(ctx, r, err)
	}
	if !matches || q.old == nil {
		return matches, nil
	}
	// What cannot be judged was not counted either.
	before, err := r.matcher.matches(ctx, q.old)
	if err != nil && ctx.Err() != nil {
		return false, unjudged(ctx, r, err)
	}
	return !before, nil
}

func unjudged(ctx context.Context, r *rule, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Errorf(codes.FailedPrecondition, "rule %s cannot be evaluated: %v", r.config.Name, err)
}

// room is where r counts the object, but for how many there may be.
func (q *question) room(r *rule) claim.Question {
	holder := q.namespaceName() + "/" + q.object.GetName()
	if q.object.GetName() == "" { // it comes under a name of its own
		holder = "request " + q.req.GetUid()
	}
	return claim.Question{
		Place: r.place(q.namespaceName()), Holder: holder, UID: string(q.object.GetUID()),
		By: q.req.GetUid(), Only: q.req.GetDryRun(),
	}
}

// ask asks for room.
func (q *question) ask(ctx context.Context, r *rule, room claim.Question) (denial *admissionv1.Denial, err error) {
	if err := r.objects.Current(claim.DefaultLife); err != nil { // claims do not count for longer
		return nil, status.Errorf(codes.Unavailable, "rule %s cannot be evaluated: %v", r.config.Name, err)
	}
	if room.Max, err = q.most(ctx, r); err != nil {
		return nil, err
	}
	answer := r.book.Ask(ctx, room)
	if answer.Allowed {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	where := "the cluster"
	if r.config.Scope == Namespace && q.namespaceName() != "" {
		where = "namespace " + q.namespaceName()
	}
	hint := ""
	if answer.Claimed {
		hint = " (some were allowed a moment ago; if they do not appear, try again)"
	}
	return sdk.Deny("rule %s: %s has %d of at most %d %s%s; %s",
		r.config.Name, where, answer.Others, room.Max, r.config.Noun, hint, r.config.Message), nil
}

// giveUp gives up the claims of a request that is not allowed after all.
func (q *question) giveUp(claimed map[*rule]claim.Question) {
	if q.req.GetDryRun() {
		return
	}
	for r, room := range claimed {
		r.book.Drop(room)
	}
}

// namespaceName is where the object is; empty where it is in no namespace. kube-apiserver sends a Namespace as
// being in itself.
func (q *question) namespaceName() string {
	if kind := q.req.GetKind(); kind.GetGroup() == "" && kind.GetKind() == namespaceKind {
		return ""
	}
	return q.req.GetNamespace()
}

// most is how many there may be.
func (q *question) most(ctx context.Context, r *rule) (int, error) {
	if r.config.MaxAnnotation == "" || q.namespaceName() == "" {
		return *r.config.Max, nil
	}
	namespace, err := q.namespace(ctx)
	if err != nil {
		return 0, err
	}
	text, ok := namespace.GetAnnotations()[r.config.MaxAnnotation]
	if !ok {
		return *r.config.Max, nil
	}
	most, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || most < 0 {
		return 0, status.Errorf(codes.FailedPrecondition, "rule %s cannot be evaluated: annotation %s of namespace %s is %q, not a whole number from 0 on",
			r.config.Name, r.config.MaxAnnotation, namespace.GetName(), text)
	}
	return most, nil
}

// namespace returns what is known of the request's namespace.
func (q *question) namespace(ctx context.Context) (*admissionv1.Namespace, error) {
	if ns := q.req.GetNamespaceObject(); ns != nil {
		return ns, nil
	}
	ns, err := q.namespaces.Namespace(ctx, q.req.GetNamespace())
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "looking up namespace %s: %v", q.req.GetNamespace(), err)
	}
	return &admissionv1.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}, nil
}

// decode reads the object, and the old one of an update.
func (q *question) decode() error {
	if q.object != nil {
		return nil
	}
	object, old := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	if err := q.req.Decode(&object.Object); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if q.req.GetOperation() == admissionv1.Operation_OPERATION_UPDATE {
		if err := q.req.DecodeOld(&old.Object); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		q.old = old
	}
	q.object = object
	return nil
}
