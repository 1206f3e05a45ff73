package labels

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rule is a Rule ready to be applied.
type rule struct {
	name                      string
	namespaces                []string        // nil: any
	namespaceSelector         labels.Selector // nil: any
	objectSelector            labels.Selector // nil: any
	whenPresent               string
	setLabels, setAnnotations []assignment // in the order of their keys
}

// assignment is one key and its value.
type assignment struct {
	key   string
	value template
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
		if r.name == "" {
			r.name = field.NewPath("rules").Index(i).String()
		}
		rules = append(rules, r)
		errs = append(errs, problems...)
	}
	return rules, errs
}

func compileRule(in *Rule, env environment, at *field.Path) (rule, field.ErrorList) {
	var errs field.ErrorList
	out := rule{name: in.Name, namespaces: in.Match.Namespaces, whenPresent: in.WhenPresent}

	match := at.Child("match")
	for i, name := range in.Match.Namespaces {
		for _, problem := range validation.IsDNS1123Label(name) {
			errs = append(errs, field.Invalid(match.Child("namespaces").Index(i), name, problem))
		}
	}
	out.namespaceSelector, errs = compileSelector(in.Match.NamespaceSelector, match.Child("namespaceSelector"), errs)
	out.objectSelector, errs = compileSelector(in.Match.ObjectSelector, match.Child("objectSelector"), errs)

	if len(in.Set.Labels)+len(in.Set.Annotations) == 0 {
		errs = append(errs, field.Required(at.Child("set"), "name at least one label or annotation to set"))
	}
	for _, key := range slices.Sorted(maps.Keys(in.Set.Labels)) {
		at := at.Child("set", "labels").Key(key)
		errs = append(errs, validateKey(key, at)...)
		value, problems := env.compileTemplate(in.Set.Labels[key], at)
		errs = append(errs, problems...)
		if text, fixed := value.fixed(); fixed && len(problems) == 0 {
			for _, problem := range validation.IsValidLabelValue(text) {
				errs = append(errs, field.Invalid(at, text, problem))
			}
		}
		out.setLabels = append(out.setLabels, assignment{key, value})
	}
	for _, key := range slices.Sorted(maps.Keys(in.Set.Annotations)) {
		at := at.Child("set", "annotations").Key(key)
		// kube-apiserver checks annotation keys in lower case (ValidateAnnotations).
		errs = append(errs, validateKey(strings.ToLower(key), at)...)
		value, problems := env.compileTemplate(in.Set.Annotations[key], at)
		errs = append(errs, problems...)
		out.setAnnotations = append(out.setAnnotations, assignment{key, value})
	}
	if known := []string{Keep, Overwrite, Deny}; !slices.Contains(known, in.WhenPresent) {
		errs = append(errs, field.NotSupported(at.Child("whenPresent"), in.WhenPresent, known))
	}
	return out, errs
}

func validateKey(key string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.IsQualifiedName(key) {
		errs = append(errs, field.Invalid(at, key, problem))
	}
	return errs
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
