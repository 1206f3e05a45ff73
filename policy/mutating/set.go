// Package mutating evaluates MutatingAdmissionPolicies from files with k8s.io/apiserver's own packages, so that
// a policy means here what it means in kube-apiserver.
//
// It differs on purpose in these points. Policies are evaluated in the order of their names, where
// kube-apiserver's order is that of a Go map. The second pass of policies with reinvocationPolicy IfNeeded comes
// right after the first, because the other admission plugins are not here; kube-apiserver calls the gate again
// if one of them changes the object. Params come from the files and not from the cluster. A policy that uses the
// authorizer is refused when it is loaded, because that asks a live API server. And where something cannot be
// evaluated for want of what only the cluster has (the namespace's labels, the object in another API version),
// failurePolicy Fail makes it an error and not a denial.
//
// An expression that fails on the object itself is part of what a policy means: as in kube-apiserver,
// failurePolicy Fail makes it a denial with the error's text. So is a patch after which the object can no longer
// be read: kube-apiserver answers that with 500 whatever the failurePolicy, and so does this package.
package mutating

import (
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
	"github.com/gatefold/gatefold/policy/internal/load"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/sdk/config"
)

const (
	policyKind  = "MutatingAdmissionPolicy"
	bindingKind = "MutatingAdmissionPolicyBinding"
)

// Set is a set of policies, compiled and ready. It is immutable and safe for concurrent use.
type Set struct {
	hooks []*hook
	kinds *kinds
	notes []string
}

// hook is a policy that is bound.
type hook struct {
	*match.Hook
	policy    *v1.MutatingAdmissionPolicy
	bindings  []*v1.MutatingAdmissionPolicyBinding // as Hook.Bindings
	evaluator mutating.PolicyEvaluator
}

// Load reads the policies, bindings, params and CustomResourceDefinitions at paths (see policy.ReadFiles) and
// compiles them. See Parse.
func Load(paths []string) (*Set, error) {
	files, err := policy.ReadFiles(paths)
	if err != nil {
		return nil, err
	}
	return Parse(files)
}

// Parse compiles the policies in files. When anything is wrong with them the error is a config.Problems
// with every reason: unknown fields, what kube-apiserver would refuse, and what the CEL compiler says.
// CustomResourceDefinitions among the files say how the objects of their kinds are merged.
func Parse(files []policy.File) (*Set, error) {
	in := load.Read(files, policyKind, bindingKind)
	set := &Set{kinds: newKinds()}
	in.Problems = append(in.Problems, set.kinds.learn(in.OfKind("apiextensions.k8s.io", "CustomResourceDefinition"))...)

	hooks := map[string]*hook{}
	c := expression.NewCompiler()
	for _, d := range in.Policies {
		h, problems := newHook(c, d)
		in.Problems = append(in.Problems, problems...)
		if h == nil {
			continue
		}
		hooks[h.policy.Name], in.Hooks[h.policy.Name] = h, h.Hook
		in.Notes = append(in.Notes, set.kinds.notes(d, h.policy)...)
	}
	for _, d := range in.Bindings {
		b := &v1.MutatingAdmissionPolicyBinding{}
		bad := d.Decode(b)
		setBindingDefaults(b)
		bad = append(bad, d.Problems(checkBinding(b))...)
		in.Problems = append(in.Problems, bad...)
		if len(bad) == 0 && in.Bind(d, mutating.NewMutatingAdmissionPolicyBindingAccessor(b)) != nil {
			h := hooks[b.Spec.PolicyName]
			h.bindings = append(h.bindings, b)
		}
	}
	inForce, err := in.Finish()
	if err != nil {
		return nil, err
	}
	set.notes = in.Notes
	for _, name := range inForce {
		set.hooks = append(set.hooks, hooks[name])
	}
	return set, nil
}

// Notes says what is odd about the files but no reason to refuse them: a binding without its policy.
func (s *Set) Notes() []string { return s.notes }

// Policies returns the names of the policies that are bound, in the order in which they are evaluated.
func (s *Set) Policies() []string {
	names := make([]string, len(s.hooks))
	for i, h := range s.hooks {
		names[i] = h.policy.Name
	}
	return names
}

// newHook decodes, checks and compiles the policy in d; nil when it cannot.
func newHook(c *expression.Compiler, d *document.Document) (*hook, config.Problems) {
	p := &v1.MutatingAdmissionPolicy{}
	problems := d.Decode(p)
	setPolicyDefaults(p)
	problems = append(problems, d.Problems(checkPolicy(p))...)
	uses, errs := c.Check(expressions(p))
	problems = append(problems, d.Problems(errs)...)
	if len(problems) > 0 {
		return nil, problems
	}
	evaluator, err := compile(c, p)
	if err != nil {
		return nil, config.Problems{d.Problem("spec", "%v", err)}
	}
	return &hook{
		Hook:      &match.Hook{Policy: mutating.NewMutatingAdmissionPolicyAccessor(p), Namespaced: uses.Namespace},
		policy:    p,
		evaluator: evaluator,
	}, nil
}
