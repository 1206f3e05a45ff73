// Package quota lets no more than so many objects of a kind into a namespace, or into the cluster: those that a
// label selector and CEL conditions select. It is for what kube-apiserver's own ResourceQuota cannot count.
package quota

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Where the objects of a rule are counted.
const (
	// Namespace counts those of each namespace by itself.
	Namespace = "Namespace"
	// Cluster counts them all together.
	Cluster = "Cluster"
)

// namespaceKind is a kind whose objects are in no namespace, though requests for them say that they are.
const namespaceKind = "Namespace"

// Config configures the validator "quota". It needs a cluster to know, and the right to list and watch what its
// rules are about, in all namespaces.
type Config struct {
	// Rules apply each by itself: an object must have room by all that it matches.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is how many objects of a kind there may be. It counts when an object is created, and when an update makes
// one match that did not before; never what subresources change. What is already there stays, also if it is more.
type Rule struct {
	// Name is what users and errors call the rule.
	Name string `json:"name"`
	// APIVersion is that of the kind, such as apps/v1. Conditions are written for it.
	APIVersion string `json:"apiVersion"`
	// Kind is what is counted, such as Service.
	Kind string `json:"kind"`
	// Scope is Namespace (the default) or Cluster. What is in no namespace is counted together either way.
	Scope string `json:"scope,omitempty"`
	// NamespaceSelector selects by its labels the namespaces in which there is a limit; with scope Namespace
	// only. Default: all.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ObjectSelector selects by their labels the objects that count. Default: all.
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
	// MatchConditions are CEL expressions that must all hold for an object to count. They see object, and nothing
	// else: the objects in the cluster have no request. If they look at no more than object.metadata, the
	// validator keeps nothing else of the objects in memory. One that fails on the object that is asked about is an
	// error, on one in the cluster it is logged, and that object does not count.
	MatchConditions []admissionregistrationv1.MatchCondition `json:"matchConditions,omitempty"`
	// Max is how many there may be. It must be given, and may be 0.
	Max *int `json:"max"`
	// MaxAnnotation names an annotation of the namespace whose value, a whole number, takes the place of max there;
	// with scope Namespace only. Whoever may edit a namespace may then give it more.
	MaxAnnotation string `json:"maxAnnotation,omitempty"`
	// Noun is what messages call the objects, in plural. Default: objects of kind KIND.
	Noun string `json:"noun,omitempty"`
	// Message says in a refusal what to do about it. Default: delete one or ask for more.
	Message string `json:"message,omitempty"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Scope == "" {
			r.Scope = Namespace
		}
		if r.Noun == "" {
			r.Noun = "objects of kind " + r.Kind
		}
		if r.Message == "" {
			r.Message = "delete one or ask for more"
		}
	}
}

// Validate says what is wrong with c, which stands at at; its expressions are compiled.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	_, errs := compileAll(c, at)
	return errs
}

// compileAll compiles the rules.
func compileAll(c *Config, at *field.Path) ([]*matcher, field.ErrorList) {
	if len(c.Rules) == 0 {
		return nil, nil
	}
	env, err := newEnvironment()
	if err != nil {
		return nil, field.ErrorList{field.InternalError(at, err)}
	}
	var all []*matcher
	var errs field.ErrorList
	names := map[string]bool{}
	for i, r := range c.Rules {
		at := at.Child("rules").Index(i)
		if names[r.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), r.Name))
		}
		names[r.Name] = true
		m, bad := compile(env, r, at)
		errs = append(errs, bad...)
		all = append(all, m)
	}
	return all, errs
}

// compile checks a rule, which stands at at.
func compile(env environment, r Rule, at *field.Path) (*matcher, field.ErrorList) {
	var errs field.ErrorList
	required := func(name, value, why string) {
		if value == "" {
			errs = append(errs, field.Required(at.Child(name), why))
		}
	}
	required("name", r.Name, "name the rule, for those whom it refuses something")
	required("apiVersion", r.APIVersion, "write that of the kind, such as v1 or apps/v1")
	required("kind", r.Kind, "write what is counted, such as Service")
	version, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		errs = append(errs, field.Invalid(at.Child("apiVersion"), r.APIVersion, "write it as VERSION or GROUP/VERSION"))
	}
	m := &matcher{kind: version.WithKind(r.Kind), metadataOnly: true}
	if m.kind.GroupKind() == (schema.GroupKind{Kind: namespaceKind}) {
		if r.NamespaceSelector != nil {
			errs = append(errs, field.Forbidden(at.Child("namespaceSelector"), "a Namespace is in none; select by its labels with objectSelector"))
		}
		if r.MaxAnnotation != "" {
			errs = append(errs, field.Forbidden(at.Child("maxAnnotation"), "a Namespace is in none that could have it"))
		}
	}
	switch r.Scope {
	case Namespace:
	case Cluster:
		if r.NamespaceSelector != nil {
			errs = append(errs, field.Forbidden(at.Child("namespaceSelector"), "it is for scope Namespace; in the cluster all are counted"))
		}
		if r.MaxAnnotation != "" {
			errs = append(errs, field.Forbidden(at.Child("maxAnnotation"), "it is for scope Namespace; the cluster has no annotations"))
		}
	default:
		errs = append(errs, field.NotSupported(at.Child("scope"), r.Scope, []string{Namespace, Cluster}))
	}
	selector := func(name string, s *metav1.LabelSelector) labels.Selector {
		if s == nil {
			return labels.Everything()
		}
		parsed, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			errs = append(errs, field.Invalid(at.Child(name), "", err.Error()))
		}
		return parsed
	}
	m.namespaces, m.objects = selector("namespaceSelector", r.NamespaceSelector), selector("objectSelector", r.ObjectSelector)
	switch {
	case r.Max == nil:
		errs = append(errs, field.Required(at.Child("max"), "say how many there may be; 0 is a number too"))
	case *r.Max < 0:
		errs = append(errs, field.Invalid(at.Child("max"), *r.Max, "there cannot be fewer than none"))
	}
	if r.MaxAnnotation != "" {
		for _, problem := range validation.IsQualifiedName(r.MaxAnnotation) {
			errs = append(errs, field.Invalid(at.Child("maxAnnotation"), r.MaxAnnotation, problem))
		}
	}
	for i, c := range r.MatchConditions {
		at := at.Child("matchConditions").Index(i)
		if c.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), "name the condition"))
		}
		condition, metadataOnly, err := env.compile(c)
		if err != nil {
			errs = append(errs, field.Invalid(at.Child("expression"), c.Expression, err.Error()))
			continue
		}
		m.conditions = append(m.conditions, condition)
		m.metadataOnly = m.metadataOnly && metadataOnly
	}
	return m, errs
}

// describe names a kind as a user writes it.
func describe(kind schema.GroupVersionKind) string {
	return fmt.Sprintf("%s %s", kind.GroupVersion(), kind.Kind)
}
