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
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/load"
)

const policyKind = "ValidatingAdmissionPolicy"

// loading is how the policies are loaded.
func loading() *load.Kind[v1.ValidatingAdmissionPolicy, v1.ValidatingAdmissionPolicyBinding, validating.Validator] {
	return &load.Kind[v1.ValidatingAdmissionPolicy, v1.ValidatingAdmissionPolicyBinding, validating.Validator]{
		Policy:             policyKind,
		Binding:            "ValidatingAdmissionPolicyBinding",
		PolicyAccessor:     validating.NewValidatingAdmissionPolicyAccessor,
		BindingAccessor:    validating.NewValidatingAdmissionPolicyBindingAccessor,
		SetPolicyDefaults:  setPolicyDefaults,
		SetBindingDefaults: setBindingDefaults,
		CheckPolicy:        checkPolicy,
		CheckBinding:       checkBinding,
		Compile:            compile,
		Note: func(in *load.Set, d *document.Document, p *v1.ValidatingAdmissionPolicy) {
			in.TypeCheck(d, expressions(p), p.Spec.MatchConstraints, p.Spec.ParamKind)
		},
	}
}

// hook is a policy that is bound.
type hook = load.Hook[v1.ValidatingAdmissionPolicy, v1.ValidatingAdmissionPolicyBinding, validating.Validator]

// Set is a set of policies, compiled and ready. It is safe for concurrent use.
type Set struct {
	policies *load.Policies[v1.ValidatingAdmissionPolicy, v1.ValidatingAdmissionPolicyBinding, validating.Validator]
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
	k := loading()
	policies, err := k.Finish(k.Read(files, l.Cluster))
	if err != nil {
		return nil, err
	}
	return &Set{policies: policies}, nil
}

// Close ends the following of params. Evaluations may still go on, with the params that were known last.
func (s *Set) Close() { s.policies.Close() }

// Ready returns nil once all params of the cluster were listed; until then, what is missing. Evaluations do not
// wait for it.
func (s *Set) Ready() error { return s.policies.Ready() }

// Notes says what is odd about the files but no reason to refuse them: a binding without its policy, or an
// expression that reads a field which no object that the policy is about can have. The latter have several lines.
func (s *Set) Notes() []string { return s.policies.Notes }

// Policies returns the names of the policies that are bound, in the order in which they are evaluated.
func (s *Set) Policies() []string { return s.policies.Names() }
