// Package policy evaluates ValidatingAdmissionPolicies from files with k8s.io/apiserver's own packages, so
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
package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	"github.com/gatefold/gatefold/sdk/config"
)

const (
	policyKind  = "ValidatingAdmissionPolicy"
	bindingKind = "ValidatingAdmissionPolicyBinding"
	group       = "admissionregistration.k8s.io"
)

// Set is a set of policies, compiled and ready. It is immutable and safe for concurrent use.
type Set struct {
	hooks []*hook
	notes []string
}

// hook is a policy with its bindings and params: generic.PolicyHook, with what is needed besides.
type hook struct {
	validating.PolicyHook
	policy   generic.PolicyAccessor
	bindings []generic.BindingAccessor
	// namespaced: an expression reads namespaceObject.
	namespaced bool
}

// Load reads the policies, bindings and params at paths (see ReadFiles) and compiles them. See Parse.
func Load(paths []string) (*Set, error) {
	files, err := ReadFiles(paths)
	if err != nil {
		return nil, err
	}
	return Parse(files)
}

// Parse compiles the policies in files. When anything is wrong with them the error is a config.Problems
// with every reason: unknown fields, what kube-apiserver would refuse, and what the CEL compiler says.
func Parse(files []File) (*Set, error) {
	docs, problems := documents(files)
	policies, bindings, bad := sortKinds(docs)
	problems = append(problems, bad...)

	set := &Set{}
	kinds := map[string]*v1.ParamKind{}
	hooks := map[string]*hook{}
	c := newCompiler()
	for _, d := range policies {
		h, bad := c.hook(d)
		problems = append(problems, bad...)
		if h != nil {
			hooks[h.Policy.Name] = h
			kinds[h.Policy.Name] = h.Policy.Spec.ParamKind
		}
	}
	found, bad := collectParams(policies, kinds, docs)
	problems = append(problems, bad...)
	problems = append(problems, set.bind(bindings, hooks)...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b config.Problem) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
		})
		return nil, problems
	}
	set.complete(policies, hooks, found)
	return set, nil
}

// Notes says what is odd about the files but no reason to refuse them: a binding without its policy.
func (s *Set) Notes() []string { return s.notes }

// Policies returns the names of the policies that are bound, in the order in which they are evaluated.
func (s *Set) Policies() []string {
	names := make([]string, len(s.hooks))
	for i, h := range s.hooks {
		names[i] = h.Policy.Name
	}
	return names
}

// sortKinds picks the policies and bindings out of docs, each in the order of their names.
func sortKinds(docs []*document) (policies, bindings []*document, problems config.Problems) {
	first := map[string]*document{}
	for _, d := range docs {
		gvk, name := d.object.GroupVersionKind(), d.object.GetName()
		if gvk.Group != group || gvk.Kind != policyKind && gvk.Kind != bindingKind {
			continue
		}
		// v1beta1 has the same fields; v1alpha1 is not served by default anywhere.
		if gvk.Version != "v1" && gvk.Version != "v1beta1" {
			problems = append(problems, d.problem("apiVersion", "unknown version %q; write %s/v1", gvk.Version, group))
			continue
		}
		if before := first[gvk.Kind+"/"+name]; before != nil {
			problems = append(problems, d.problem("metadata.name", "a second one, the first is at %s:%d; keep one of them", before.file, before.line))
			continue
		}
		first[gvk.Kind+"/"+name] = d
		if gvk.Kind == policyKind {
			policies = append(policies, d)
		} else {
			bindings = append(bindings, d)
		}
	}
	byName := func(a, b *document) int { return strings.Compare(a.object.GetName(), b.object.GetName()) }
	slices.SortFunc(policies, byName)
	slices.SortFunc(bindings, byName)
	return policies, bindings, problems
}

// hook decodes, checks and compiles the policy in d; nil when it cannot.
func (c *compiler) hook(d *document) (*hook, config.Problems) {
	p := &v1.ValidatingAdmissionPolicy{}
	problems := d.decode(p)
	setPolicyDefaults(p)
	problems = append(problems, d.problems(checkPolicy(p))...)
	out, errs := c.compile(p)
	problems = append(problems, d.problems(errs)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return &hook{
		PolicyHook: validating.PolicyHook{Policy: p, Evaluator: out.validator},
		policy:     validating.NewValidatingAdmissionPolicyAccessor(p),
		namespaced: out.namespaced,
	}, nil
}

// bind gives each binding to its policy.
func (s *Set) bind(bindings []*document, hooks map[string]*hook) config.Problems {
	var problems config.Problems
	for _, d := range bindings {
		b := &v1.ValidatingAdmissionPolicyBinding{}
		bad := d.decode(b)
		setBindingDefaults(b)
		bad = append(bad, d.problems(checkBinding(b))...)
		problems = append(problems, bad...)
		h := hooks[b.Spec.PolicyName]
		switch {
		case len(bad) > 0:
		case h == nil:
			s.notes = append(s.notes, fmt.Sprintf("%s:%d: %s '%s' does nothing: there is no policy %q in these files",
				d.file, d.line, bindingKind, b.Name, b.Spec.PolicyName))
		default:
			h.Bindings = append(h.Bindings, b)
			h.bindings = append(h.bindings, validating.NewValidatingAdmissionPolicyBindingAccessor(b))
		}
	}
	return problems
}

// complete adds the params, and leaves out policies without a binding, as kube-apiserver does.
func (s *Set) complete(policies []*document, hooks map[string]*hook, found map[v1.ParamKind]*params) {
	for _, d := range policies {
		h := hooks[d.object.GetName()]
		if len(h.Bindings) == 0 {
			s.notes = append(s.notes, fmt.Sprintf("%s:%d: %s '%s' does nothing: no binding in these files names it",
				d.file, d.line, policyKind, h.Policy.Name))
			continue
		}
		if kind := h.Policy.Spec.ParamKind; kind != nil {
			h.ParamInformer, h.ParamScope = found[*kind], found[*kind].scope
			asked := slices.ContainsFunc(h.Bindings, func(b *v1.ValidatingAdmissionPolicyBinding) bool { return b.Spec.ParamRef != nil })
			if asked && len(found[*kind].objects) == 0 {
				s.notes = append(s.notes, fmt.Sprintf("%s:%d: %s '%s': there is no %s among these files for it to take params from",
					d.file, d.line, policyKind, h.Policy.Name, describe(*kind)))
			}
		}
		s.hooks = append(s.hooks, h)
	}
}

// problems places errs, whose paths are those of the object, in the file.
func (d *document) problems(errs field.ErrorList) config.Problems {
	var problems config.Problems
	for _, err := range errs {
		message := err.ErrorBody()
		if err.Detail != "" && strings.HasSuffix(err.Field, "xpression") {
			message = err.Detail // the compiler shows the expression, with a mark where it is wrong
		}
		problems = append(problems, d.problem(err.Field, "%s", message))
	}
	return problems
}
