// Package mutating evaluates MutatingAdmissionPolicies from files with k8s.io/apiserver's own packages, so that
// a policy means here what it means in kube-apiserver.
//
// It differs on purpose in these points. Policies are evaluated in the order of their names, where
// kube-apiserver's order is that of a Go map. The second pass of policies with reinvocationPolicy IfNeeded comes
// right after the first, because the other admission plugins are not here; kube-apiserver calls the gate again
// if one of them changes the object. Params that stand in the files count for more than those in the cluster. And
// where something cannot be evaluated for want of something that is not known here (the namespace's labels, the
// object in another API version, params that were not listed yet, an apiserver that does not say who may do what, or
// how a kind is merged), failurePolicy Fail makes it an error and not a denial.
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
	"github.com/gatefold/gatefold/policy/internal/load"
)

const policyKind = "MutatingAdmissionPolicy"

// loading is how the policies are loaded, given what is known of the kinds that they are about.
func loading(about *kinds) *load.Kind[v1.MutatingAdmissionPolicy, v1.MutatingAdmissionPolicyBinding, evaluator] {
	return &load.Kind[v1.MutatingAdmissionPolicy, v1.MutatingAdmissionPolicyBinding, evaluator]{
		Policy:             policyKind,
		Binding:            "MutatingAdmissionPolicyBinding",
		PolicyAccessor:     mutating.NewMutatingAdmissionPolicyAccessor,
		BindingAccessor:    mutating.NewMutatingAdmissionPolicyBindingAccessor,
		SetPolicyDefaults:  setPolicyDefaults,
		SetBindingDefaults: setBindingDefaults,
		CheckPolicy:        checkPolicy,
		CheckBinding:       checkBinding,
		Compile:            compile,
		Note: func(in *load.Set, d *document.Document, p *v1.MutatingAdmissionPolicy) {
			in.Notes = append(in.Notes, about.notes(d, p)...)
		},
	}
}

// hook is a policy that is bound.
type hook = load.Hook[v1.MutatingAdmissionPolicy, v1.MutatingAdmissionPolicyBinding, evaluator]

// Set is a set of policies, compiled and ready. It is safe for concurrent use.
type Set struct {
	policies *load.Policies[v1.MutatingAdmissionPolicy, v1.MutatingAdmissionPolicyBinding, evaluator]
	kinds    *kinds
}

// Loader makes sets of policies. Its zero value knows nothing of a cluster.
type Loader struct {
	// Cluster is what policies may ask of the cluster. What they take params from is followed until the set is
	// closed. Its CustomResourceDefinitions say how the objects of their kinds are merged, as those among the files
	// do, which come first.
	Cluster policy.Cluster
	// Schemas has the schemas of kinds that are neither built-in nor defined as above. Nil: there are none, and
	// their lists are replaced as a whole.
	Schemas Schemas
}

// Load loads the policies at paths where nothing is known of a cluster. See Loader.Load.
func Load(paths []string) (*Set, error) { return Loader{}.Load(paths) }

// Parse compiles the policies in files where nothing is known of a cluster. See Loader.Parse.
func Parse(files []policy.File) (*Set, error) { return Loader{}.Parse(files) }

// Load reads the policies, bindings, params and CustomResourceDefinitions at paths (see policy.ReadFiles) and
// compiles them. See Parse.
func (l Loader) Load(paths []string) (*Set, error) {
	files, err := policy.ReadFiles(paths)
	if err != nil {
		return nil, err
	}
	return l.Parse(files)
}

// Parse compiles the policies in files. When anything is wrong with them the error is a config.Problems
// with every reason: unknown fields, what kube-apiserver would refuse, and what the CEL compiler says.
// CustomResourceDefinitions among the files say how the objects of their kinds are merged.
func (l Loader) Parse(files []policy.File) (*Set, error) {
	set := &Set{kinds: newKinds(l.Schemas)}
	k := loading(set.kinds)
	in := k.Read(files, l.Cluster)
	definitions := in.OfKind("apiextensions.k8s.io", "CustomResourceDefinition")
	if err := set.kinds.learnFromCluster(l.Cluster.Definitions, definitions); err != nil {
		return nil, err
	}
	in.Problems = append(in.Problems, set.kinds.learn(definitions)...)
	policies, err := k.Finish(in)
	if err != nil {
		return nil, err
	}
	set.policies = policies
	return set, nil
}

// Close ends the following of params. Evaluations may still go on, with the params that were known last.
func (s *Set) Close() { s.policies.Close() }

// Ready returns nil once all params of the cluster were listed; until then, what is missing. Evaluations do not
// wait for it.
func (s *Set) Ready() error { return s.policies.Ready() }

// Notes says what is odd about the files but no reason to refuse them: a binding without its policy, or an
// ApplyConfiguration for a kind of which no schema is known.
func (s *Set) Notes() []string { return s.policies.Notes }

// Policies returns the names of the policies that are bound, in the order in which they are evaluated.
func (s *Set) Policies() []string { return s.policies.Names() }
