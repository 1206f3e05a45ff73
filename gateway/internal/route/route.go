// Package route decides whether a backend concerns a request, with the meaning that
// admissionregistration.k8s.io/v1 gives to rules, selectors and match conditions. The deciding is done
// by kube-apiserver's own packages, in the order of its generic.Webhook.ShouldCallHook.
package route

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/object"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/apiserver/pkg/cel/environment"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// SelfTestGroup is the API group of the gate's own test reviews, which concern no backend.
const SelfTestGroup = "selftest.gatefold.dev"

// IsSelfTest tells whether req is one of the gate's own test reviews.
func IsSelfTest(req *admissionv1.AdmissionRequest) bool {
	return req.GetResource().GetGroup() == SelfTestGroup
}

// Spec says which requests concern a backend, in the words of a webhook registration. Empty selectors
// and conditions exclude nothing.
type Spec struct {
	// Name is the backend's, for messages.
	Name              string
	Rules             []admissionregistrationv1.RuleWithOperations
	MatchPolicy       admissionregistrationv1.MatchPolicyType
	NamespaceSelector *metav1.LabelSelector
	ObjectSelector    *metav1.LabelSelector
	MatchConditions   []admissionregistrationv1.MatchCondition
}

// Compiler turns Specs into Matchers. It is safe for concurrent use.
type Compiler struct {
	conditions cel.Compiler
}

// NewCompiler returns a compiler for the CEL environment of the API servers that this release supports.
func NewCompiler() *Compiler {
	return &Compiler{conditions: cel.NewCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))}
}

// Matcher decides whether one backend concerns a request. It is safe for concurrent use.
type Matcher struct {
	rules      []admissionregistrationv1.RuleWithOperations
	exact      bool
	namespaces labels.Selector
	objects    objectSelector
	conditions matchconditions.Matcher // nil: none
}

// Compile checks a spec that stands at path and prepares it for matching.
func (c *Compiler) Compile(spec Spec, path *field.Path) (*Matcher, field.ErrorList) {
	var errs field.ErrorList
	selector := func(s *metav1.LabelSelector, name string) labels.Selector {
		if s == nil {
			return labels.Everything()
		}
		parsed, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			errs = append(errs, field.Invalid(path.Child(name), s, err.Error()))
		}
		return parsed
	}
	m := &Matcher{
		rules:      spec.Rules,
		exact:      spec.MatchPolicy == admissionregistrationv1.Exact,
		namespaces: selector(spec.NamespaceSelector, "namespaceSelector"),
		objects:    objectSelector{selector(spec.ObjectSelector, "objectSelector")},
	}
	var conditionErrs field.ErrorList
	m.conditions, conditionErrs = c.compileConditions(spec, path.Child("matchConditions"))
	errs = append(errs, conditionErrs...)
	return m, errs
}

// compileConditions returns nil when there are none. The authorizer variable of the API is not offered:
// the gate holds no right to ask the API server about anybody's rights.
func (c *Compiler) compileConditions(spec Spec, path *field.Path) (matchconditions.Matcher, field.ErrorList) {
	if len(spec.MatchConditions) == 0 {
		return nil, nil
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	results := make([]cel.CompilationResult, len(spec.MatchConditions))
	for i, condition := range spec.MatchConditions {
		if condition.Name == "" {
			errs = append(errs, field.Required(path.Index(i).Child("name"), "name the condition"))
		}
		if seen[condition.Name] {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), condition.Name))
		}
		seen[condition.Name] = true
		expression := matchconditions.MatchCondition(condition)
		results[i] = c.conditions.CompileCELExpression(&expression, cel.OptionalVariableDeclarations{}, environment.NewExpressions)
		if err := results[i].Error; err != nil {
			errs = append(errs, field.Invalid(path.Index(i).Child("expression"), condition.Expression, err.Detail))
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	// Upstream skips the webhook silently when a condition fails to evaluate under Ignore. Here every
	// such failure comes out, and the backend's failure policy is applied where all failures are.
	fail := admissionregistrationv1.Fail
	return matchconditions.NewMatcher(cel.NewCondition(results), &fail, "webhook", "gate", spec.Name), nil
}

// NeedsNamespaces tells whether deciding takes a look at the labels of namespaces.
func (m *Matcher) NeedsNamespaces() bool { return !m.namespaces.Empty() }

// ReadsObject tells whether deciding takes a look at the object itself, so that the answer may be another for
// another object of the same request. What it takes of a Namespace are its labels.
func (m *Matcher) ReadsObject() bool {
	return !m.objects.selector.Empty() || !m.namespaces.Empty() || m.conditions != nil
}

// Match tells whether the backend concerns the request that view shows. An error means that it could
// not be decided, which is a failure of the backend and never a reason to skip it.
func (m *Matcher) Match(ctx context.Context, view *View) (bool, error) {
	if IsSelfTest(view.req) {
		return false, nil
	}
	ruled, ruleErr := m.matchRules(view)
	if !ruled && ruleErr == nil {
		return false, nil
	}
	if match, err := m.matchNamespace(ctx, view); err != nil || !match {
		return false, err
	}
	if match, err := m.matchObject(view); err != nil || !match {
		return false, err
	}
	if ruleErr != nil { // told only for what the selectors do not exclude anyway
		return false, ruleErr
	}
	if m.conditions == nil {
		return true, nil
	}
	attributes, err := view.versioned()
	if err != nil {
		return false, err
	}
	result := m.conditions.Match(ctx, attributes, nil, nil)
	if result.Error != nil {
		return false, fmt.Errorf("evaluating matchConditions: %w", result.Error)
	}
	return result.Matches, nil
}

// matchRules looks at the resource as it was requested and, because kube-apiserver may have converted it for
// the gate's own registration, at the resource as it was sent. A rule that fits but for the API version is
// neither yes nor no: kube-apiserver would convert the object for a webhook of its own, and the gate cannot,
// but skipping the backend would let anybody past it who asks in another version.
func (m *Matcher) matchRules(view *View) (bool, error) {
	other := false
	for _, rule := range m.rules {
		requested := rules.Matcher{Rule: rule, Attr: view.requested}
		if requested.Matches() {
			return true, nil
		}
		if m.exact {
			continue
		}
		sent := rules.Matcher{Rule: rule, Attr: view.sent}
		if sent.Matches() {
			return true, nil
		}
		if slices.Contains(rule.APIGroups, "*") {
			continue // "v1 of everything" says nothing about a resource that may be served in v1alpha1 alone
		}
		rule.APIVersions = []string{"*"}
		requested.Rule, sent.Rule = rule, rule
		other = other || requested.Matches() || sent.Matches()
	}
	if other {
		r := view.sent.GetResource()
		return false, fmt.Errorf("its rules name %s, but not in version %q: add that version to the rules if the backend understands it, "+
			"or register the gate for the version that it does", r.GroupResource(), r.Version)
	}
	return false, nil
}

// matchNamespace follows k8s.io/apiserver's predicates/namespace.Matcher, which cannot be used itself
// because it wants a whole client for its lookups: objects outside namespaces always match, and a
// namespace that is being written is judged by the labels it is to have.
func (m *Matcher) matchNamespace(ctx context.Context, view *View) (bool, error) {
	if m.namespaces.Empty() {
		return true, nil
	}
	attr := view.sent
	isNamespace := attr.GetResource().Resource == "namespaces" && attr.GetResource().Group == corev1.GroupName
	if attr.GetNamespace() == "" && !isNamespace {
		return true, nil
	}
	writes := attr.GetOperation() == admission.Create || attr.GetOperation() == admission.Update
	if isNamespace && attr.GetSubresource() == "" && writes {
		metadata, _, err := view.metadata()
		if err != nil {
			return false, err
		}
		return m.namespaces.Matches(labels.Set(metadata.GetLabels())), nil
	}
	namespace, err := view.namespace(ctx)
	if err != nil {
		return false, fmt.Errorf("looking up the namespace for namespaceSelector: %w", err)
	}
	return m.namespaces.Matches(labels.Set(namespace.Labels)), nil
}

func (m *Matcher) matchObject(view *View) (bool, error) {
	if m.objects.selector.Empty() {
		return true, nil
	}
	current, old, err := view.objects()
	if err != nil {
		return false, err
	}
	attr := view.attributes(current, old)
	matcher := object.Matcher{}
	match, statusErr := matcher.MatchObjectSelector(m.objects, attr)
	if statusErr != nil {
		return false, statusErr
	}
	return match, nil
}

type objectSelector struct{ selector labels.Selector }

// GetObjectSelector is part of object.ObjectSelectorProvider, and not used by its Matcher.
func (objectSelector) GetObjectSelector() *metav1.LabelSelector { return nil }

// GetParsedObjectSelector is part of object.ObjectSelectorProvider.
func (s objectSelector) GetParsedObjectSelector() (labels.Selector, error) { return s.selector, nil }
