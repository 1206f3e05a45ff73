// Package validating evaluates ValidatingAdmissionPolicies from files with k8s.io/apiserver's own packages, so
// that a policy means here what it means in kube-apiserver.
//
// It differs on purpose in these points. All violations of all policies are answered, where kube-apiserver
// answers the first. Params that stand in the files count for more than those in the cluster. And where an
// expression cannot be evaluated for want of something that is not known here (the namespace's labels, the object
// in another API version, params that were not listed yet, an apiserver that does not say who may do what),
// failurePolicy Fail makes it an error and not a denial.
//
// An expression that fails on the object itself is part of what a policy means: as in kube-apiserver,
// failurePolicy Fail makes it a denial with the error's text, and Ignore lets the object pass.
package validating

import (
	"errors"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
	"github.com/gatefold/gatefold/policy/internal/load"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/policy/internal/params"
	"github.com/gatefold/gatefold/sdk/config"
)

const (
	policyKind  = "ValidatingAdmissionPolicy"
	bindingKind = "ValidatingAdmissionPolicyBinding"
)

// Set is a set of policies, compiled and ready. It is safe for concurrent use.
type Set struct {
	hooks      []*hook
	index      *match.Index // of hooks
	notes      []string
	authorizer authorizer.UnconditionalAuthorizer // nil: no policy asks
	params     []*params.Joined
}

// hook is a policy that is bound.
type hook struct {
	*match.Hook
	policy    *v1.ValidatingAdmissionPolicy
	bindings  []*v1.ValidatingAdmissionPolicyBinding // as Hook.Bindings
	evaluator validating.Validator
}

// Loader makes sets of policies. Its zero value knows nothing of a cluster.
type Loader struct {
	// Cluster is what policies may ask of the cluster. What they take params from is followed until the set is
	// closed.
	Cluster policy.Cluster
}

// Load loads the policies at paths where nothing is known of a cluster. See Loader.Load.
func Load(paths []string) (*Set, error) { return Loader{}.Load(paths) }

// Parse compiles the policies in files where nothing is known of a cluster. See Loader.Parse.
func Parse(files []policy.File) (*Set, error) { return Loader{}.Parse(files) }

// Load reads the policies, bindings and params at paths (see policy.ReadFiles) and compiles them. See Parse.
func (l Loader) Load(paths []string) (*Set, error) {
	files, err := policy.ReadFiles(paths)
	if err != nil {
		return nil, err
	}
	return l.Parse(files)
}

// Parse compiles the policies in files. When anything is wrong with them the error is a config.Problems
// with every reason: unknown fields, what kube-apiserver would refuse, and what the CEL compiler says.
func (l Loader) Parse(files []policy.File) (*Set, error) {
	in := load.Read(files, policyKind, bindingKind)
	in.Cluster = l.Cluster
	hooks := l.hooks(in)
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
	for _, d := range in.Policies {
		p := hooks[d.Object.GetName()].policy
		in.TypeCheck(d, expressions(p), p.Spec.MatchConstraints, p.Spec.ParamKind)
	}
	set := &Set{params: in.Followed, authorizer: l.Cluster.Authorizer}
	indexed := make([]*match.Hook, len(inForce))
	for i, name := range inForce {
		set.hooks, indexed[i] = append(set.hooks, hooks[name]), hooks[name].Hook
	}
	set.index = match.NewIndex(indexed)
	set.notes = in.Notes
	return set, nil
}

// Close ends the following of params. Evaluations may still go on, with the params that were known last.
func (s *Set) Close() {
	for _, p := range s.params {
		p.Close()
	}
}

// Ready returns nil once all params of the cluster were listed; until then, what is missing. Evaluations do not
// wait for it.
func (s *Set) Ready() error {
	var errs []error
	for _, p := range s.params {
		errs = append(errs, p.Ready())
	}
	return errors.Join(errs...)
}

// Notes says what is odd about the files but no reason to refuse them: a binding without its policy, or an
// expression that reads a field which no object that the policy is about can have. The latter have several lines.
func (s *Set) Notes() []string { return s.notes }

// Policies returns the names of the policies that are bound, in the order in which they are evaluated.
func (s *Set) Policies() []string {
	names := make([]string, len(s.hooks))
	for i, h := range s.hooks {
		names[i] = h.policy.Name
	}
	return names
}

// hooks decodes, checks and compiles the policies of in, and gives them to it.
func (l Loader) hooks(in *load.Set) map[string]*hook {
	compiled := make([]*hook, len(in.Policies))
	problems := make([]config.Problems, len(in.Policies))
	compiler := expression.NewCompiler()
	compiler.Authorizer = l.Cluster.Authorizer != nil
	compiler.Each(len(in.Policies), func(c *expression.Compiler, i int) {
		compiled[i], problems[i] = newHook(c, in.Policies[i])
	})
	hooks := map[string]*hook{}
	for i, h := range compiled {
		in.Problems = append(in.Problems, problems[i]...)
		if h != nil {
			hooks[h.policy.Name], in.Hooks[h.policy.Name] = h, h.Hook
		}
	}
	return hooks
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
		Hook: &match.Hook{
			Policy:         validating.NewValidatingAdmissionPolicyAccessor(p),
			Namespaced:     uses.Namespace,
			WholeNamespace: uses.WholeNamespace,
		},
		policy:    p,
		evaluator: evaluator,
	}, nil
}
