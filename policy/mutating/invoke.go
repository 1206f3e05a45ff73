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
)

// mutate evaluates the i-th mutation of a policy on the object in v, which it replaces; it restates
// dispatchOne of k8s.io/apiserver pkg/admission/plugin/policy/mutating/dispatcher.go. After an error the object
// is as it was.
func (e *evaluation) mutate(ctx context.Context, in invocation, i int, v *version) error {
	namespace, err := e.matcher.NamespaceObject(in.Hook)
	if err != nil {
		return err
	}
	// Variables are evaluated anew for each mutation, because they see the object as it now is.
	ctx = in.evaluator.CompositedCompiler.CreateContext(ctx)
	changed, err := in.evaluator.Mutators[i].Patch(ctx, patch.Request{
		MatchedResource:     in.about.Resource,
		VersionedAttributes: v.VersionedAttributes,
		ObjectInterfaces:    v.kind.interfaces,
		OptionalVariables:   cel.OptionalVariableBindings{VersionedParams: in.param},
		Namespace:           namespace,
		TypeConverter:       v.kind.converter,
	}, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return err
	}
	if changed, err = v.kind.complete(changed); err != nil {
		return err
	}
	v.UpdateObject(changed)
	return nil
}

func equal(a, b runtime.Object) bool { return apiequality.Semantic.DeepEqual(a, b) }

// key tells invocations apart. The names are the objects' in the files.
type key struct {
	policy, binding string
	param           types.NamespacedName
}

func keyOf(in invocation) key {
	k := key{policy: in.policy.Name, binding: in.binding.Name}
	if in.param != nil {
		if param, err := meta.Accessor(in.param); err == nil { // params are objects from the files
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
	if in.policy.Spec.ReinvocationPolicy == v1.IfNeededReinvocationPolicy {
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
