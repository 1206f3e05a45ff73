package mutating

import (
	"context"

	v1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/gatefold/gatefold/policy/internal/match"
)

// mutate evaluates the i-th mutation of a policy on the object in v, which it replaces; it restates
// dispatchOne of k8s.io/apiserver pkg/admission/plugin/policy/mutating/dispatcher.go. After an error the object
// is as it was.
func (e *evaluation) mutate(ctx context.Context, in invocation, i int, v *version) error {
	namespace, err := e.matcher.NamespaceObject(in.Hook)
	if err != nil {
		return err
	}
	request := patch.Request{
		MatchedResource:     in.about.Resource,
		VersionedAttributes: v.VersionedAttributes,
		ObjectInterfaces:    v.kind.interfaces,
		OptionalVariables:   cel.OptionalVariableBindings{VersionedParams: in.param, Authorizer: e.authorizer.Authorizer()},
		Namespace:           namespace,
	}
	if in.Typed.Spec.Mutations[i].PatchType == v1.PatchTypeApplyConfiguration {
		if request.TypeConverter, err = v.kind.converter(ctx); err != nil {
			return match.NotKnown(err)
		}
	}
	// Variables are evaluated anew for each mutation, because they see the object as it now is.
	changed, err := in.Evaluator.mutators[i].Patch(in.Evaluator.CreateContext(ctx), request, celconfig.RuntimeCELCostBudget)
	if asked := e.authorizer.TakeError(); asked != nil {
		return match.NotKnown(asked)
	}
	if err != nil {
		return err
	}
	if changed, err = v.kind.complete(changed); err != nil {
		return err
	}
	v.UpdateObject(changed)
	v.changed = true
	return nil
}

func equal(a, b runtime.Object) bool { return apiequality.Semantic.DeepEqual(a, b) }

// key tells invocations apart.
type key struct {
	policy, binding string
	param           types.NamespacedName
}

func keyOf(in invocation) key {
	k := key{policy: in.Typed.Name, binding: in.binding.Name}
	if in.param != nil {
		if param, err := meta.Accessor(in.param); err == nil { // params are objects
			k.param = types.NamespacedName{Namespace: param.GetNamespace(), Name: param.GetName()}
		}
	}
	return k
}

// reinvocation restates reinvocationcontext.go of k8s.io/apiserver pkg/admission/plugin/policy/mutating and
// reinvocation.go of pkg/admission: which invocations come a second time. What it leaves out is what other
// plugins do to the object between the two rounds.
type reinvocation struct {
	again    bool         // this is the second round
	should   bool         // there must be one
	previous map[key]bool // may be reinvoked, and have been invoked since the last change
	due      map[key]bool // are to be reinvoked
}

// admits tells whether the invocation has its turn in this round.
func (r *reinvocation) admits(k key) bool { return !r.again || r.due[k] }

// invoked notes that the invocation has been, and whether it has changed the object.
func (r *reinvocation) invoked(in invocation, changed bool) {
	if changed {
		r.changed()
	}
	if in.Typed.Spec.ReinvocationPolicy == v1.IfNeededReinvocationPolicy {
		if r.previous == nil {
			r.previous = map[key]bool{}
		}
		r.previous[keyOf(in)] = true
	}
}

// changed notes that those who have been invoked have not seen the object as it now is.
func (r *reinvocation) changed() {
	r.should = true
	if r.due == nil {
		r.due = map[key]bool{}
	}
	for k := range r.previous {
		r.due[k] = true
	}
	clear(r.previous)
}

// secondRound begins the second round, if there must be one; also when nobody is due, because match conditions are
// evaluated in it all the same, and may fail on the object as it now is.
func (r *reinvocation) secondRound() bool {
	r.again = true
	return r.should
}
