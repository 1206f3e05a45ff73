package load

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/policy/internal/params"
	"github.com/gatefold/gatefold/sdk/config"
)

// Kind is a kind of policies: P is its Go type, B that of its bindings, and E what a policy is compiled to.
type Kind[P, B, E any] struct {
	// Policy and Binding are the names of the two kinds.
	Policy, Binding string
	// PolicyAccessor and BindingAccessor are upstream's.
	PolicyAccessor  func(*P) generic.PolicyAccessor
	BindingAccessor func(*B) generic.BindingAccessor
	// SetPolicyDefaults and SetBindingDefaults set kube-apiserver's defaults.
	SetPolicyDefaults  func(*P)
	SetBindingDefaults func(*B)
	// CheckPolicy and CheckBinding say what kube-apiserver would refuse, of one that has its defaults.
	CheckPolicy  func(*P) field.ErrorList
	CheckBinding func(*B) field.ErrorList
	// Compile compiles the expressions of a policy that has its defaults.
	Compile func(*expression.Compiler, *P) (E, expression.Uses, field.ErrorList)
	// Note adds to the notes of the set what is odd about the policy in d. Nil: nothing is.
	Note func(in *Set, d *document.Document, policy *P)
}

// Hook is a policy with its bindings, compiled.
type Hook[P, B, E any] struct {
	*match.Hook
	// Typed is the policy, and TypedBindings are its bindings, in the order of Hook.Bindings.
	Typed         *P
	TypedBindings []*B
	// Evaluator is what the policy was compiled to.
	Evaluator E
}

// Policies are the policies in force, that is, those that are bound. They are safe for concurrent use.
type Policies[P, B, E any] struct {
	// Hooks are in the order of their names, in which they are evaluated.
	Hooks []*Hook[P, B, E]
	// Authorizer answers what expressions ask of it. Nil: none asks.
	Authorizer authorizer.UnconditionalAuthorizer
	// Notes say what is odd about the files but no reason to refuse them.
	Notes []string

	index  *match.Index // of Hooks
	params []*params.Joined
}

// Finish compiles the policies of in, and gives them their bindings and params. The error is a config.Problems
// with all that is wrong, or says that a cluster has no means to follow its objects.
func (k *Kind[P, B, E]) Finish(in *Set) (*Policies[P, B, E], error) {
	hooks := k.compile(in)
	for _, d := range in.bindings {
		b := new(B)
		bad := d.Decode(b)
		k.SetBindingDefaults(b)
		bad = append(bad, d.Problems(k.CheckBinding(b))...)
		in.Problems = append(in.Problems, bad...)
		if len(bad) > 0 {
			continue
		}
		accessor := k.BindingAccessor(b)
		if in.bind(d, accessor) {
			h := hooks[accessor.GetPolicyName().Name]
			h.TypedBindings = append(h.TypedBindings, b)
			in.noteNames(d, "spec.matchResources", accessor.GetMatchResources())
		}
	}
	inForce, err := in.finish()
	if err != nil {
		return nil, err
	}
	for _, d := range in.policies {
		h := hooks[d.Object.GetName()]
		in.noteNames(d, "spec.matchConstraints", h.Policy.GetMatchConstraints())
		if k.Note != nil {
			k.Note(in, d, h.Typed)
		}
	}
	all := &Policies[P, B, E]{Authorizer: in.Cluster.Authorizer, Notes: in.Notes, params: in.followed}
	indexed := make([]*match.Hook, len(inForce))
	for i, name := range inForce {
		all.Hooks, indexed[i] = append(all.Hooks, hooks[name]), hooks[name].Hook
	}
	all.index = match.NewIndex(indexed)
	return all, nil
}

// compile decodes, checks and compiles the policies of in; those that cannot be used are left out.
func (k *Kind[P, B, E]) compile(in *Set) map[string]*Hook[P, B, E] {
	compiled := make([]*Hook[P, B, E], len(in.policies))
	problems := make([]config.Problems, len(in.policies))
	compiler := expression.NewCompiler()
	compiler.Authorizer = in.Cluster.Authorizer != nil
	compiler.Each(len(in.policies), func(c *expression.Compiler, i int) {
		compiled[i], problems[i] = k.hook(c, in.policies[i])
	})
	hooks := map[string]*Hook[P, B, E]{}
	for i, h := range compiled {
		in.Problems = append(in.Problems, problems[i]...)
		if h != nil {
			name := h.Policy.GetName()
			hooks[name], in.hooks[name] = h, h.Hook
		}
	}
	return hooks
}

// hook decodes, checks and compiles the policy in d; nil when it cannot.
func (k *Kind[P, B, E]) hook(c *expression.Compiler, d *document.Document) (*Hook[P, B, E], config.Problems) {
	p := new(P)
	problems := d.Decode(p)
	k.SetPolicyDefaults(p)
	problems = append(problems, d.Problems(k.CheckPolicy(p))...)
	evaluator, uses, errs := k.Compile(c, p)
	problems = append(problems, d.Problems(errs)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return &Hook[P, B, E]{
		Hook:      &match.Hook{Policy: k.PolicyAccessor(p), Namespaced: uses.Namespace, WholeNamespace: uses.WholeNamespace},
		Typed:     p,
		Evaluator: evaluator,
	}, nil
}

// Candidates returns the policies that the request of m may be about, in their order.
func (p *Policies[P, B, E]) Candidates(m *match.Matcher) []*Hook[P, B, E] {
	indices := p.index.Candidates(m)
	if len(indices) == 0 {
		return nil
	}
	hooks := make([]*Hook[P, B, E], len(indices))
	for i, index := range indices {
		hooks[i] = p.Hooks[index]
	}
	return hooks
}

// Names returns the names of the policies, in their order.
func (p *Policies[P, B, E]) Names() []string {
	names := make([]string, len(p.Hooks))
	for i, h := range p.Hooks {
		names[i] = h.Policy.GetName()
	}
	return names
}

// Ready returns nil once all params of the cluster were listed; until then, what is missing.
func (p *Policies[P, B, E]) Ready() error {
	var errs []error
	for _, followed := range p.params {
		errs = append(errs, followed.Ready())
	}
	return errors.Join(errs...)
}

// Close ends the following of params.
func (p *Policies[P, B, E]) Close() {
	for _, followed := range p.params {
		followed.Close()
	}
}
