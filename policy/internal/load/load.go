// Package load puts policies, bindings and params that stand in files together, whatever kind the policies are of.
package load

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"

	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/policy/internal/params"
	"github.com/gatefold/gatefold/policy/internal/typecheck"
)

const group = "admissionregistration.k8s.io"

// Set is what is in files of one kind of policies and its bindings.
type Set struct {
	// Notes are what is odd but no reason to refuse the files.
	Notes []string
	// Problems are the reasons to refuse the files.
	Problems config.Problems
	// Cluster is what policies may ask of the cluster.
	Cluster policy.Cluster

	policyKind, bindingKind string
	policies, bindings      []*document.Document   // each in the order of their names
	hooks                   map[string]*match.Hook // the policies that could be used, by name
	followed                []*params.Joined       // to be closed

	docs    []*document.Document
	checker *typecheck.Checker // nil: not needed yet
}

// Read reads files, and picks the policies of the kind and their bindings out of them.
func (k *Kind[P, B, E]) Read(files []policy.File, known policy.Cluster) *Set {
	return read(files, known, k.Policy, k.Binding)
}

func read(files []policy.File, known policy.Cluster, policyKind, bindingKind string) *Set {
	docs, problems := document.Read(files)
	s := &Set{
		Problems: problems, Cluster: known, policyKind: policyKind, bindingKind: bindingKind,
		hooks: map[string]*match.Hook{}, docs: docs,
	}
	first := map[string]*document.Document{}
	for _, d := range docs {
		gvk, name := d.Object.GroupVersionKind(), d.Object.GetName()
		if problem, bad := misnamed(d); bad {
			s.problem(problem)
			continue
		}
		if gvk.Group != group || gvk.Kind != policyKind && gvk.Kind != bindingKind {
			continue
		}
		// v1beta1 has the same fields; v1alpha1 is not served by default anywhere.
		if gvk.Version != "v1" && gvk.Version != "v1beta1" {
			s.problem(d.Problem("apiVersion", "unknown version %q; write %s/v1", gvk.Version, group))
			continue
		}
		if before := first[gvk.Kind+"/"+name]; before != nil {
			s.problem(d.Problem("metadata.name", "a second one, the first is at %s:%d; keep one of them", before.File, before.Line))
			continue
		}
		first[gvk.Kind+"/"+name] = d
		if gvk.Kind == policyKind {
			s.policies = append(s.policies, d)
		} else {
			s.bindings = append(s.bindings, d)
		}
	}
	byName := func(a, b *document.Document) int { return strings.Compare(a.Object.GetName(), b.Object.GetName()) }
	slices.SortFunc(s.policies, byName)
	slices.SortFunc(s.bindings, byName)
	s.noteNothing(len(files))
	s.noteOthers()
	return s
}

// misnamed says what is wrong with an object that is nobody's because its kind or its group is misspelt. kube-apiserver
// would not know it either.
func misnamed(d *document.Document) (config.Problem, bool) {
	gvk := d.Object.GroupVersionKind()
	others := []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
	switch ours := slices.Contains(kinds(), gvk.Kind); {
	case gvk.Group == group && !ours && !slices.Contains(others, gvk.Kind):
		return d.Problem("kind", "%s has no kind %q; write one of %s", group, gvk.Kind, strings.Join(kinds(), ", ")), true
	case gvk.Group != group && ours:
		return d.Problem("apiVersion", "%q has no such kind; write %s/v1", d.Object.GetAPIVersion(), group), true
	}
	return config.Problem{}, false
}

// The two kinds of policies, each of which a service of its own evaluates. A folder may hold both, and is then given
// to both.
const (
	validatingPolicy = "ValidatingAdmissionPolicy"
	mutatingPolicy   = "MutatingAdmissionPolicy"
)

// kinds are both, and their bindings.
func kinds() []string {
	return []string{validatingPolicy, validatingPolicy + "Binding", mutatingPolicy, mutatingPolicy + "Binding"}
}

// OfKind returns the objects of a kind, in whatever version, in their order in the files.
func (s *Set) OfKind(group, kind string) []*document.Document {
	var found []*document.Document
	for _, d := range s.docs {
		if gvk := d.Object.GroupVersionKind(); gvk.Group == group && gvk.Kind == kind {
			found = append(found, d)
		}
	}
	return found
}

func (s *Set) problem(p ...config.Problem) { s.Problems = append(s.Problems, p...) }

// bind gives the binding in d to its policy, if there is one.
func (s *Set) bind(d *document.Document, binding generic.BindingAccessor) bool {
	name := binding.GetPolicyName().Name
	h := s.hooks[name]
	if h == nil {
		s.Notes = append(s.Notes, fmt.Sprintf("%s:%d: %s '%s' does nothing: there is no policy %q in these files",
			d.File, d.Line, s.bindingKind, binding.GetName(), name))
		return false
	}
	h.Bindings = append(h.Bindings, binding)
	return true
}

// finish adds the params, and returns the names of the policies that are bound, in their order; the others are
// left out, as kube-apiserver does. The error is a config.Problems, or says that a cluster has no means to follow
// its objects; nothing is then followed.
func (s *Set) finish() (inForce []string, err error) {
	var kinds []v1.ParamKind
	for _, h := range s.hooks {
		if kind := h.Policy.GetParamKind(); kind != nil {
			kinds = append(kinds, *kind)
		}
	}
	found, bad := params.OfKinds(kinds, s.docs)
	s.problem(bad...)
	if len(s.Problems) > 0 {
		s.Problems.Sort()
		return nil, s.Problems
	}
	for _, d := range s.policies {
		name := d.Object.GetName()
		h := s.hooks[name]
		if len(h.Bindings) == 0 {
			s.Notes = append(s.Notes, fmt.Sprintf("%s:%d: %s '%s' does nothing: no binding in these files names it",
				d.File, d.Line, s.policyKind, name))
			continue
		}
		if kind := h.Policy.GetParamKind(); kind != nil {
			if err := s.addParams(d, h, *kind, found[*kind]); err != nil {
				s.close()
				return nil, err
			}
		}
		inForce = append(inForce, name)
	}
	return inForce, nil
}

// addParams gives h, which d is, its params.
func (s *Set) addParams(d *document.Document, h *match.Hook, kind v1.ParamKind, files *params.Fixed) error {
	h.ParamInformer, h.ParamScope = files, files.Scope
	if !slices.ContainsFunc(h.Bindings, func(b generic.BindingAccessor) bool { return b.GetParamRef() != nil }) {
		return nil
	}
	s.noteOtherVersions(d, kind, files)
	if s.Cluster.Objects == nil {
		if files.Empty() {
			s.Notes = append(s.Notes, fmt.Sprintf("%s:%d: %s '%s': there is no %s among these files for it to take params from",
				d.File, d.Line, s.policyKind, d.Object.GetName(), params.Describe(kind)))
		}
		return nil
	}
	joined, err := params.Join(files, schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind), s.Cluster)
	if err != nil {
		return fmt.Errorf("%s:%d: %s '%s': %w", d.File, d.Line, s.policyKind, d.Object.GetName(), err)
	}
	s.followed = append(s.followed, joined)
	h.ParamInformer, h.ScopeNow = joined, joined.ScopeNow
	return nil
}

// noteOtherVersions notes which objects are no params of the policy in d, and stand in place of none in the cluster,
// for their version only.
func (s *Set) noteOtherVersions(d *document.Document, kind v1.ParamKind, files *params.Fixed) {
	wanted := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind)
	for _, other := range s.OfKind(wanted.Group, wanted.Kind) {
		object := other.Object
		if object.GroupVersionKind() != wanted && !files.Has(object.GetNamespace(), object.GetName()) {
			s.Notes = append(s.Notes, fmt.Sprintf("%s:%d: %s '%s' is no param of %s '%s', whose paramKind is %s: write it as apiVersion %s",
				other.File, other.Line, wanted.Kind, object.GetName(), s.policyKind, d.Object.GetName(), params.Describe(kind), kind.APIVersion))
		}
	}
}

func (s *Set) close() {
	for _, f := range s.followed {
		f.Close()
	}
	s.followed = nil
}

// TypeCheck notes what is odd about the expressions of the policy in d, which compile, given what the policy is
// about: see package typecheck.
func (s *Set) TypeCheck(d *document.Document, list []expression.Expression, constraints *v1.MatchResources, paramKind *v1.ParamKind) {
	if s.checker == nil {
		s.checker = typecheck.NewChecker(s.docs)
	}
	for _, w := range s.checker.Check(list, constraints, paramKind) {
		var kinds []string
		for _, gvk := range w.Kinds {
			apiVersion, kind := gvk.ToAPIVersionAndKind()
			kinds = append(kinds, apiVersion+" "+kind)
		}
		s.Notes = append(s.Notes, d.Problem(w.At.String(), "cannot be right for %s: %s", strings.Join(kinds, ", "), w.Message).Error())
	}
}
