// Package validating evaluates ValidatingAdmissionPolicies from files with k8s.io/apiserver's own packages, so
// that a policy means here what it means in kube-apiserver.
//
// It differs on purpose in these points. All violations of all policies are answered, where kube-apiserver
// answers the first. Params come from the files and not from the cluster. A policy that uses the
// authorizer is refused when it is loaded, because that asks a live API server. And where an expression
// cannot be evaluated for want of something that only the cluster has (the namespace's labels, the object
// in another API version), failurePolicy Fail makes it an error and not a denial.
//
// An expression that fails on the object itself is part of what a policy means: as in kube-apiserver,
// failurePolicy Fail makes it a denial with the error's text, and Ignore lets the object pass.
package validating

import (
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
	"github.com/gatefold/gatefold/policy/internal/load"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/sdk/config"
)

const (
	policyKind  = "ValidatingAdmissionPolicy"
	bindingKind = "ValidatingAdmissionPolicyBinding"
)

// Set is a set of policies, compiled and ready. It is immutable and safe for concurrent use.
type Set struct {
	hooks []*hook
	index *match.Index // of hooks
	notes []string
}

// hook is a policy that is bound.
type hook struct {
	*match.Hook
	policy    *v1.ValidatingAdmissionPolicy
	bindings  []*v1.ValidatingAdmissionPolicyBinding // as Hook.Bindings
	evaluator validating.Validator
}

// Load reads the policies, bindings and params at paths (see policy.ReadFiles) and compiles them. See Parse.
func Load(paths []string) (*Set, error) {
	files, err := policy.ReadFiles(paths)
	if err != nil {
		return nil, err
	}
	return Parse(files)
}

// Parse compiles the policies in files. When anything is wrong with them the error is a config.Problems
// with every reason: unknown fields, what kube-apiserver would refuse, and what the CEL compiler says.
func Parse(files []policy.File) (*Set, error) {
	in := load.Read(files, policyKind, bindingKind)
	hooks := map[string]*hook{}
	compiled := make([]*hook, len(in.Policies))
	problems := make([]config.Problems, len(in.Policies))
	expression.NewCompiler().Each(len(in.Policies), func(c *expression.Compiler, i int) {
		compiled[i], problems[i] = newHook(c, in.Policies[i])
	})
	for i, h := range compiled {
		in.Problems = append(in.Problems, problems[i]...)
		if h != nil {
			hooks[h.policy.Name], in.Hooks[h.policy.Name] = h, h.Hook
		}
	}
	for _, d := range in.Bindings {
		b := &v1.ValidatingAdmissionPolicyBinding{}
		bad := d.Decode(b)
		setBindingDefaults(b)
		bad = append(bad, d.Problems(checkBinding(b))...)
		in.Problems = append(in.Problems, bad...)
		if len(bad) == 0 && in.Bind(d, validating.NewValidatingAdmissionPolicyBindingAccessor(b)) != nil {
			h := hooks[b.Spec.PolicyName]
			h.bindings = append(h.bindings, b)
		}
	}
	inForce, err := in.Finish()
	if err != nil {
		return nil, err
	}
	set := &Set{notes: in.Notes}
	indexed := make([]*match.Hook, len(inForce))
	for i, name := range inForce {
		set.hooks, indexed[i] = append(set.hooks, hooks[name]), hooks[name].Hook
	}
	set.index = match.NewIndex(indexed)
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
	p := &v1.ValidatingAdmissionPolicy{}
	problems := d.Decode(p)
	setPolicyDefaults(p)
	problems = append(problems, d.Problems(checkPolicy(p))...)
	evaluator, uses, errs := compile(c, p)
	problems = append(problems, d.Problems(errs)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return &hook{
		Hook:      &match.Hook{Policy: validating.NewValidatingAdmissionPolicyAccessor(p), Namespaced: uses.Namespace},
		policy:    p,
		evaluator: evaluator,
	}, nil
}
