package mutating

import (
	"context"
	"slices"

	"google.golang.org/grpc/status"
	v1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/authorize"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/policy/internal/params"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Mutate evaluates every policy that matches the request, and those with reinvocationPolicy IfNeeded a second
// time if the object was changed. A request that does not carry its namespace has it looked up in known, which may be
// nil; so is what else of a namespace an expression reads than its name, labels and annotations. An error has a gRPC
// status: the request cannot be read, the time is up, or something that a policy asks for did not come with the
// request and is not known. What a policy makes of its own result is the policy's matter: a Set is idempotent only
// if its policies are.
func (s *Set) Mutate(ctx context.Context, r *sdk.Request, known policy.Namespaces) (*sdk.Mutation, error) {
	q := match.NewRequest(r, known)
	// A deletion has no object that could be changed.
	handled := []admission.Operation{admission.Create, admission.Update, admission.Connect}
	if !slices.Contains(handled, q.GetOperation()) || match.Exempt(q.GetResource().GroupResource()) {
		return &sdk.Mutation{}, nil
	}
	q.Convertible = s.kinds.convertible(q.Kind)
	e := &evaluation{request: q, matcher: match.NewMatcher(q), kinds: s.kinds}
	e.hooks = s.policies.Candidates(e.matcher)
	if len(e.hooks) == 0 {
		return &sdk.Mutation{}, nil
	}
	e.kind = e.kindOf(q.Kind)
	e.authorizer = authorize.ForRequest(ctx, s.policies.Authorizer)
	if err := q.DecodeWith(r, e.kind.decode); err != nil {
		return nil, err
	}
	e.original = q.GetObject()
	for again := range 2 {
		denial, err := e.round(ctx)
		if err != nil {
			return nil, err
		}
		if denial != nil {
			return &sdk.Mutation{Denial: denial}, nil
		}
		if again == 0 && !e.reinvocation.secondRound() {
			break
		}
	}
	if q.GetObject() == e.original {
		return &sdk.Mutation{}, nil
	}
	changed, err := e.kind.result(r.GetObject(), e.withoutAdded(q.GetObject()))
	if err != nil {
		return nil, err
	}
	return &sdk.Mutation{Object: changed}, nil
}

// evaluation is the evaluation of one request.
type evaluation struct {
	request      *match.Request
	matcher      *match.Matcher
	kinds        *kinds
	kind         *kind            // the request's
	hooks        []*hook          // those that may match
	authorizer   *authorize.Asked // nil: no policy asks
	reinvocation reinvocation
	original     runtime.Object // as it came
	defaulted    *bool          // whether it came with its defaults; nil: not yet asked
	changed      bool           // since defaults were set, when the round began
	added        []addition     // of defaults
}

// invocation is one evaluation of a policy: for a binding, and a param if the policy takes any.
type invocation struct {
	*hook
	binding *v1.MutatingAdmissionPolicyBinding
	about   *match.Match
	param   runtime.Object
}

// round restates Dispatch of k8s.io/apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go: which
// policies match is decided for all of them before the first is evaluated.
func (e *evaluation) round(ctx context.Context) (*admissionv1.Denial, error) {
	var failed failures
	var invocations []invocation
	for _, h := range e.hooks {
		about, err := e.matcher.Definition(h.Hook)
		if err != nil {
			if err := failed.configurationError(h, nil, err); err != nil {
				return nil, err
			}
			continue
		}
		if about == nil {
			continue
		}
		for i, binding := range h.TypedBindings {
			found, err := e.matcher.Params(h.Hook, i, about)
			if err != nil {
				if err := failed.configurationError(h, binding, err); err != nil {
					return nil, err
				}
				continue
			}
			for _, param := range found {
				invocations = append(invocations, invocation{hook: h, binding: binding, about: about, param: params.WithoutKind(param)})
			}
		}
	}
	if len(invocations) > 0 {
		refusal, err := e.dispatch(ctx, invocations, &failed)
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			return denialOf(refusal), nil
		}
	}
	return failed.denial(), nil
}

// dispatch restates dispatchInvocations of k8s.io/apiserver
// pkg/admission/plugin/policy/mutating/dispatcher.go. The order of the steps, and what counts as whose error, are
// upstream's: after an error the policy's next mutation is evaluated all the same.
func (e *evaluation) dispatch(ctx context.Context, invocations []invocation, failed *failures) (*apierrors.StatusError, error) {
	versions := map[schema.GroupVersionKind]*version{}
	var last *version // in which a policy was evaluated
	for _, in := range invocations {
		v := versions[in.about.Kind]
		if v == nil {
			v = e.versionOf(in.about.Kind)
			versions[in.about.Kind] = v
		}
		matches, err := e.conditions(ctx, in, v, failed)
		if err != nil {
			return nil, err
		}
		if !matches || !e.reinvocation.admits(keyOf(in)) {
			continue
		}
		e.setDefaults(v)
		last = v
		before := v.VersionedObject.Object()
		for i := range in.Typed.Spec.Mutations {
			if v.VersionedObject.Object() == nil {
				continue // a connection may come without
			}
			e.setDefaults(v)
			err := e.mutate(ctx, in, i, v)
			if ended := timeIsUp(ctx); ended != nil {
				return nil, ended
			}
			if err == nil {
				continue
			}
			if refusal := statusOf(err); refusal != nil {
				return refusal, nil
			}
			if err := failed.invocationError(in, err); err != nil {
				return nil, err
			}
		}
		e.reinvocation.invoked(in, !equal(before, v.VersionedObject.Object()))
	}
	if last != nil && last.Dirty {
		e.reinvocation.changed()
		object, err := e.kind.convertBack(last.VersionedObject.Object())
		if err != nil {
			return statusOf(err), nil
		}
		e.request.SetObject(object)
		e.changed = last.changed
	}
	return nil, nil
}

// setDefaults sets those of a built-in kind that mutations have left out, before somebody looks at the object again, as
// far as they are known here. It does so only with an object that came with them, as from kube-apiserver: one in a
// file may be without any, and they are no business of the policies then.
func (e *evaluation) setDefaults(v *version) {
	if !v.changed || !v.kind.typed {
		return
	}
	v.changed = false
	if e.defaulted == nil {
		original := e.original.DeepCopyObject()
		setBuiltInDefaults(original)
		e.defaulted = new(equal(e.original, original))
	}
	if *e.defaulted {
		without := v.VersionedObject.Object()
		with := without.DeepCopyObject()
		setBuiltInDefaults(with)
		e.added = append(e.added, addition{without, with})
		v.VersionedObject.Set(with)
	}
}

// version is the object as policies see it that are about one version of its resource. As in kube-apiserver, what
// policies about different versions do to it does not come together: the last one's counts.
type version struct {
	*admission.VersionedAttributes
	kind    *kind
	changed bool // since defaults were set
}

// versionOf converts the object to gvk, which the matcher has found to be possible.
func (e *evaluation) versionOf(gvk schema.GroupVersionKind) *version {
	v := &version{VersionedAttributes: e.request.Versioned(), kind: e.kindOf(gvk), changed: e.changed}
	if gvk == e.request.Kind {
		return v
	}
	v.VersionedKind = gvk
	for _, object := range []*admission.LazyObject{&v.VersionedObject, &v.VersionedOldObject} {
		if object.Object() != nil {
			converted := object.Object().DeepCopyObject()
			converted.GetObjectKind().SetGroupVersionKind(gvk)
			object.Set(converted)
		}
	}
	return v
}

func (e *evaluation) kindOf(gvk schema.GroupVersionKind) *kind {
	return e.kinds.of(gvk, e.request.Resource.Group)
}

// conditions tells whether the policy's match conditions let it be evaluated. They see the object as it now is.
func (e *evaluation) conditions(ctx context.Context, in invocation, v *version, failed *failures) (bool, error) {
	if in.Evaluator.conditions == nil {
		return true, nil
	}
	e.setDefaults(v)
	result := in.Evaluator.conditions.Match(ctx, v.VersionedAttributes, in.param, e.authorizer.Authorizer())
	// Conditions see Go structs, and would leave them to mutations, which cannot write them: see Expression.Plain of package expression.
	for _, object := range []*admission.LazyObject{&v.VersionedObject, &v.VersionedOldObject} {
		*object = admission.NewLazyObject(object.Object())
	}
	if err := timeIsUp(ctx); err != nil {
		return false, err
	}
	if err := e.authorizer.TakeError(); err != nil {
		return false, failed.invocationError(in, match.NotKnown(err))
	}
	if result.Error != nil { // then it does not match
		failed.add(in.hook, in.binding, result.Error, metav1.StatusReasonInvalid)
	}
	return result.Matches, nil
}

// timeIsUp is an error when ctx is done: CEL takes that for an error of the expression, which would become a
// denial.
func timeIsUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return nil
}
