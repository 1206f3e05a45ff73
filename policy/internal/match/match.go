// Package match says which policies a request is about, and with which params, as k8s.io/apiserver does. Where
// that depends on something that only a cluster knows, and which did not come with the request, it says so.
package match

import (
	"errors"
	"fmt"

	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/client-go/informers"

	"github.com/gatefold/gatefold/policy/internal/params"
)

// Hook is a policy of whatever kind with its bindings and params, as generic.PolicyHook is for one kind.
type Hook struct {
	// Policy and Bindings have their defaults.
	Policy   generic.PolicyAccessor
	Bindings []generic.BindingAccessor
	// ParamInformer and ParamScope are nil where the policy has no paramKind.
	ParamInformer informers.GenericInformer
	ParamScope    meta.RESTScope
	// ScopeNow tells ParamScope where a cluster is asked for it; the error says that it cannot tell yet. Nil: it
	// is ParamScope.
	ScopeNow func() (meta.RESTScope, error)
	// Namespaced: an expression reads namespaceObject.
	Namespaced bool
	// WholeNamespace is what an expression reads of namespaceObject that does not come with requests; empty where
	// none does.
	WholeNamespace string
}

// Matcher holds policies against one request. It is for one goroutine.
type Matcher struct {
	request    *Request
	namespaces namespaces
	matcher    generic.PolicyMatcher
	objects    admission.ObjectInterfaces
}

// NewMatcher returns a matcher for q, whose objects may be decoded later: only MayMatch does without them.
func NewMatcher(q *Request) *Matcher {
	m := &Matcher{
		request:    q,
		namespaces: namespaces{known: q.Namespace},
		objects:    &admission.RuntimeObjectInterfaces{EquivalentResourceMapper: q},
	}
	m.matcher = generic.NewPolicyMatcher(matching.NewMatcher(&m.namespaces, nil))
	return m
}

// MayMatch looks at the rules only, so that requests which no policy is about are answered without
// reading their objects. It never says no where upstream's matcher would say yes.
func (m *Matcher) MayMatch(h *Hook) bool {
	q, constraints := m.request, h.Policy.GetMatchConstraints()
	for i := range constraints.ResourceRules {
		rule := constraints.ResourceRules[i].RuleWithOperations
		if *constraints.MatchPolicy == v1.Equivalent {
			rule.APIVersions = []string{anyVersion} // see Matcher.assuming
		}
		if (&rules.Matcher{Rule: rule, Attr: q}).Matches() {
			return true
		}
		if q.Resource != q.GetResource() && (&rules.Matcher{Rule: rule, Attr: converted{q}}).Matches() {
			return true
		}
	}
	return false
}

// converted is a request for the resource to which kube-apiserver converted the object.
type converted struct{ *Request }

// GetResource returns that resource.
func (c converted) GetResource() schema.GroupVersionResource { return c.Resource }

// Match is what a policy that matches is about.
type Match struct {
	// Resource and Kind are those of the rule that matched.
	Resource schema.GroupVersionResource
	Kind     schema.GroupVersionKind

	// assumed: it matches if the resource is served in Resource.Version, of which the request says nothing.
	assumed bool
}

// Definition tells in what the policy matches; nil when it does not.
func (m *Matcher) Definition(h *Hook) (*Match, error) {
	m.namespaces.forget()
	about, err := m.definition(h)
	return about, m.namespaces.marked(err)
}

func (m *Matcher) definition(h *Hook) (*Match, error) {
	matches, resource, kind, err := m.matcher.DefinitionMatches(m.request, m.objects, h.Policy)
	if err != nil {
		return nil, err
	}
	if matches {
		return &Match{Resource: resource, Kind: kind}, nil
	}
	var found *Match
	_, err = m.assuming(h.Policy.GetMatchConstraints(), func(objects admission.ObjectInterfaces) (bool, error) {
		matches, resource, kind, err := m.matcher.DefinitionMatches(m.request, objects, h.Policy)
		if matches {
			found = &Match{Resource: resource, Kind: kind, assumed: true}
		}
		return matches, err
	})
	return found, err
}

// Params returns the params with which the policy, which matches, is to be evaluated as its i-th binding says:
// one that is nil where it takes none, and nothing at all when the binding does not match.
func (m *Matcher) Params(h *Hook, i int, about *Match) ([]runtime.Object, error) {
	m.namespaces.forget()
	found, err := m.params(h, i, about)
	return found, m.namespaces.marked(err)
}

func (m *Matcher) params(h *Hook, i int, about *Match) ([]runtime.Object, error) {
	binding := h.Bindings[i]
	matching := func(objects admission.ObjectInterfaces) (bool, error) {
		return m.matcher.BindingMatches(m.request, objects, binding)
	}
	matches, err := matching(m.objects)
	if err != nil {
		return nil, err
	}
	if !matches {
		version, err := m.assuming(binding.GetMatchResources(), matching)
		if err != nil || version == "" {
			return nil, err
		}
		return nil, m.otherVersion("binding", version)
	}
	scope := h.ParamScope
	if h.ScopeNow != nil && binding.GetParamRef() != nil {
		if scope, err = h.ScopeNow(); err != nil {
			return nil, err
		}
	}
	found, err := generic.CollectParams(h.Policy.GetParamKind(), h.ParamInformer, scope, binding.GetParamRef(),
		m.request.GetNamespace(), nil, nil)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if about.assumed || !m.request.converts(about.Kind) {
		return nil, m.otherVersion("policy", about.Resource.Version)
	}
	return found, nil
}

// NamespaceObject is what expressions see as namespaceObject: null for cluster-scoped objects, and for namespaces themselves.
func (m *Matcher) NamespaceObject(h *Hook) (*corev1.Namespace, error) {
	isNamespace := m.request.GetKind() == corev1.SchemeGroupVersion.WithKind("Namespace")
	switch {
	case m.request.GetNamespace() == "" || isNamespace:
		return nil, nil
	case m.request.Namespace == nil && h.Namespaced:
		return nil, unanswerable{errNoNamespace}
	case h.WholeNamespace != "" && !m.request.WholeNamespace:
		return nil, unanswerable{fmt.Errorf("an expression reads %s, which does not come with a request; "+
			"start the service with a cluster, so that it knows whole namespaces", h.WholeNamespace)}
	default:
		return m.request.Namespace, nil
	}
}

// unanswerable marks an error that says nothing about the object or the policy: the answer would need
// something that only the cluster has.
type unanswerable struct{ error }

// NotKnown marks err as one that says nothing about the object or the policy.
func NotKnown(err error) error { return unanswerable{err} }

// Unanswerable tells whether err says nothing about the object or the policy: the answer would need something that
// only the cluster has.
func Unanswerable(err error) bool {
	var own unanswerable
	return errors.As(err, &own) || errors.Is(err, params.ErrUnavailable)
}
