package labels

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rule is a Rule ready to be applied. What the index decides is not in it.
type rule struct {
	name                      string
	creates, updates          bool            // whether it sets and removes on these
	namespaceSelector         labels.Selector // nil: any
	objectSelector            labels.Selector // nil: any
	conditions                []condition
	object, template          bool // the targets
	removeLabels              keySet
	removeAnnotations         keySet
	setLabels, setAnnotations []assignment // in the order of their keys
	whenPresent               string
	immutable                 string
	users, groups             sets.Set[string] // the excepted
}

// assignment is one key and its value.
type assignment struct {
	key   string
	value template
}

// condition is one of matchConditions.
type condition struct {
	name string
	expression
}

func compile(c *Config, at *field.Path) ([]rule, field.ErrorList) {
	env, err := newEnvironment()
	if err != nil {
		return nil, field.ErrorList{field.InternalError(at, err)}
	}
	var (
		rules []rule
		errs  field.ErrorList
	)
	for i := range c.Rules {
		at := at.Child("rules").Index(i)
		r, problems := compileRule(&c.Rules[i], env, at)
		if slices.ContainsFunc(rules, func(before rule) bool { return before.name == r.name }) { // "" is none
			errs = append(errs, field.Duplicate(at.Child("name"), r.name))
		}
		if r.name == "" {
			r.name = field.NewPath("rules").Index(i).String()
		}
		rules = append(rules, r)
		errs = append(errs, problems...)
	}
	return rules, errs
}

func compileRule(in *Rule, env environment, at *field.Path) (rule, field.ErrorList) {
	out := rule{
		name:        in.Name,
		creates:     slices.Contains(in.Match.Operations, string(admissionregistrationv1.Create)),
		updates:     slices.Contains(in.Match.Operations, string(admissionregistrationv1.Update)),
		object:      slices.Contains(in.Targets, Object),
		template:    slices.Contains(in.Targets, PodTemplate),
		whenPresent: in.WhenPresent,
		immutable:   in.Immutable,
		users:       sets.New(in.Except.Users...),
		groups:      sets.New(in.Except.Groups...),
	}
	errs := out.compileMatch(&in.Match, env, at.Child("match"))
	errs = append(errs, validateChoices(in, at)...)

	set, remove := at.Child("set"), at.Child("remove")
	if len(in.Set.Labels)+len(in.Set.Annotations)+len(in.Remove.Labels)+len(in.Remove.Annotations) == 0 {
		errs = append(errs, field.Required(set, "name at least one label or annotation to set, or one to remove"))
	}
	var problems field.ErrorList
	out.setLabels, problems = compileSet(in.Set.Labels, labelSyntax(), env, set.Child("labels"))
	errs = append(errs, problems...)
	out.setAnnotations, problems = compileSet(in.Set.Annotations, annotationSyntax(), env, set.Child("annotations"))
	errs = append(errs, problems...)
	out.removeLabels, problems = compileRemove(in.Remove.Labels, in.Set.Labels, labelSyntax(), remove.Child("labels"))
	errs = append(errs, problems...)
	out.removeAnnotations, problems = compileRemove(in.Remove.Annotations, in.Set.Annotations, annotationSyntax(), remove.Child("annotations"))
	return out, append(errs, problems...)
}

func validateChoices(in *Rule, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, target := range in.Targets {
		if known := []string{Object, PodTemplate}; !slices.Contains(known, target) {
			errs = append(errs, field.NotSupported(at.Child("targets").Index(i), target, known))
		}
	}
	if known := []string{Keep, Overwrite, Deny}; !slices.Contains(known, in.WhenPresent) {
		errs = append(errs, field.NotSupported(at.Child("whenPresent"), in.WhenPresent, known))
	}
	if known := []string{Restore, Deny}; in.Immutable != "" && !slices.Contains(known, in.Immutable) {
		errs = append(errs, field.NotSupported(at.Child("immutable"), in.Immutable, known))
	}
	if in.Immutable != "" && len(in.Set.Labels)+len(in.Set.Annotations) == 0 {
		errs = append(errs, field.Invalid(at.Child("immutable"), in.Immutable, "is about the keys of set, of which there are none"))
	}
	for i, user := range in.Except.Users {
		if user == "" {
			errs = append(errs, field.Required(at.Child("except", "users").Index(i), "name a user"))
		}
	}
	for i, group := range in.Except.Groups {
		if group == "" {
			errs = append(errs, field.Required(at.Child("except", "groups").Index(i), "name a group"))
		}
	}
	return errs
}

func (r *rule) compileMatch(in *Match, env environment, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, operation := range in.Operations {
		if known := operations(); !slices.Contains(known, operation) {
			errs = append(errs, field.NotSupported(at.Child("operations").Index(i), operation, known))
		}
	}
	if in.ResourceRules != nil && len(in.ResourceRules) == 0 {
		errs = append(errs, field.Required(at.Child("resourceRules"), "the list is empty; name the resources, or leave it out for all"))
	}
	for i, allowed := range in.ResourceRules {
		errs = append(errs, validateResourceRule(allowed, at.Child("resourceRules").Index(i))...)
	}
	if in.Namespaces != nil && len(in.Namespaces) == 0 {
		errs = append(errs, field.Required(at.Child("namespaces"), "the list is empty; name the namespaces, or leave it out for all"))
	}
	for i, name := range in.Namespaces {
		errs = append(errs, invalid(name, validation.IsDNS1123Label(name), at.Child("namespaces").Index(i))...)
	}
	r.namespaceSelector, errs = compileSelector(in.NamespaceSelector, at.Child("namespaceSelector"), errs)
	r.objectSelector, errs = compileSelector(in.ObjectSelector, at.Child("objectSelector"), errs)
	seen := sets.New[string]()
	for i, c := range in.MatchConditions {
		at := at.Child("matchConditions").Index(i)
		if seen.Has(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		seen.Insert(c.Name)
		errs = append(errs, invalid(c.Name, validation.IsQualifiedName(c.Name), at.Child("name"))...)
		compiled, err := env.compile(c.Expression, cel.BoolType, "write a condition, such as user.username != \"admin\"")
		if err != nil {
			errs = append(errs, field.Invalid(at.Child("expression"), c.Expression, err.Error()))
		}
		r.conditions = append(r.conditions, condition{c.Name, compiled})
	}
	return errs
}

func validateResourceRule(r ResourceRule, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(r.APIGroups) == 0 {
		errs = append(errs, field.Required(at.Child("apiGroups"), `name the groups: "" for the core group, "*" for all`))
	}
	for i, group := range r.APIGroups {
		if group == "" || group == "*" {
			continue
		}
		errs = append(errs, invalid(group, validation.IsDNS1123Subdomain(group), at.Child("apiGroups").Index(i))...)
	}
	if len(r.Resources) == 0 {
		errs = append(errs, field.Required(at.Child("resources"), `name the resources, such as deployments; "*" for all`))
	}
	for i, resource := range r.Resources {
		at := at.Child("resources").Index(i)
		switch {
		case resource == "*":
		case strings.Contains(resource, "/"):
			errs = append(errs, field.Invalid(at, resource, "is a subresource; nothing is set there, and immutable keys are kept there anyway"))
		default:
			errs = append(errs, invalid(resource, validation.IsDNS1123Subdomain(resource), at)...)
		}
	}
	return errs
}

func compileSet(in map[string]string, allowed syntax, env environment, at *field.Path) ([]assignment, field.ErrorList) {
	var (
		out  []assignment
		errs field.ErrorList
	)
	for _, key := range slices.Sorted(maps.Keys(in)) {
		at := at.Key(key)
		errs = append(errs, invalid(key, allowed.key(key), at)...)
		value, problems := env.compileTemplate(in[key], at)
		errs = append(errs, problems...)
		if text, fixed := value.fixed(); fixed && len(problems) == 0 {
			errs = append(errs, invalid(text, allowed.value(text), at)...)
		}
		out = append(out, assignment{key, value})
	}
	return out, errs
}

// compileSelector returns nil for what matches everything, so that the labels need not be known.
func compileSelector(in *metav1.LabelSelector, at *field.Path, errs field.ErrorList) (labels.Selector, field.ErrorList) {
	if in == nil || len(in.MatchLabels)+len(in.MatchExpressions) == 0 {
		return nil, errs
	}
	problems := metav1validation.ValidateLabelSelector(in, metav1validation.LabelSelectorValidationOptions{}, at)
	if len(problems) > 0 {
		return nil, append(errs, problems...)
	}
	selector, err := metav1.LabelSelectorAsSelector(in)
	if err != nil {
		errs = append(errs, field.Invalid(at, in, err.Error()))
	}
	return selector, errs
}
