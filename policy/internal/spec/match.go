package spec

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func checkSelector(s *metav1.LabelSelector, at *field.Path) field.ErrorList {
	return metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, at)
}

func checkMatch(m *v1.MatchResources, at *field.Path) field.ErrorList {
	errs := OneOf(at.Child("matchPolicy"), *m.MatchPolicy, v1.Exact, v1.Equivalent)
	errs = append(errs, checkSelector(m.NamespaceSelector, at.Child("namespaceSelector"))...)
	errs = append(errs, checkSelector(m.ObjectSelector, at.Child("objectSelector"))...)
	for i := range m.ResourceRules {
		errs = append(errs, checkRule(&m.ResourceRules[i], at.Child("resourceRules").Index(i))...)
	}
	for i := range m.ExcludeResourceRules {
		errs = append(errs, checkRule(&m.ExcludeResourceRules[i], at.Child("excludeResourceRules").Index(i))...)
	}
	return errs
}

func checkRule(r *v1.NamedRuleWithOperations, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range r.ResourceNames {
		errs = append(errs, invalid(at.Child("resourceNames").Index(i), name, content.IsPathSegmentName(name))...)
	}
	errs = append(errs, Unique(at.Child("resourceNames"), "", r.ResourceNames)...)
	errs = append(errs, wildcard(at.Child("operations"), r.Operations)...)
	for i, op := range r.Operations {
		errs = append(errs, OneOf(at.Child("operations").Index(i), op, v1.OperationAll, v1.Connect, v1.Create, v1.Delete, v1.Update)...)
	}
	errs = append(errs, wildcard(at.Child("apiGroups"), r.APIGroups)...)
	errs = append(errs, wildcard(at.Child("apiVersions"), r.APIVersions)...)
	for i, version := range r.APIVersions {
		if version == "" {
			errs = append(errs, field.Required(at.Child("apiVersions").Index(i), "name a version, or *"))
		}
	}
	errs = append(errs, checkResources(r.Resources, at.Child("resources"))...)
	return append(errs, OneOf(at.Child("scope"), *r.Scope, v1.AllScopes, v1.ClusterScope, v1.NamespacedScope)...)
}

// wildcard wants values to be there, and * to stand alone.
func wildcard[T ~string](at *field.Path, values []T) field.ErrorList {
	switch {
	case len(values) == 0:
		return field.ErrorList{field.Required(at, "name at least one, or *")}
	case len(values) > 1 && slices.Contains(values, "*"):
		return field.ErrorList{field.Invalid(at, values, "if '*' is present, must not specify others")}
	}
	return nil
}

func checkResources(resources []string, at *field.Path) field.ErrorList {
	if len(resources) == 0 {
		return field.ErrorList{field.Required(at, "name at least one, or *")}
	}
	var errs field.ErrorList
	plain := false // of kube-apiserver the last one without a subresource decides, so that it takes [pods, "*"]
	for _, r := range resources {
		if r != "" && !strings.Contains(r, "/") {
			plain = r != "*"
		}
	}
	if slices.Contains(resources, "*") && plain {
		errs = append(errs, field.Invalid(at, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	for i, r := range resources {
		res, sub, isSub := strings.Cut(r, "/")
		if r == "" {
			errs = append(errs, field.Required(at.Index(i), "name a resource, or *"))
		}
		if isSub && slices.Contains(resources[:i], res+"/*") {
			errs = append(errs, field.Invalid(at.Index(i), r, fmt.Sprintf("if '%s/*' is present, must not specify %s", res, r)))
		} else if isSub && slices.Contains(resources[:i], "*/"+sub) {
			errs = append(errs, field.Invalid(at.Index(i), r, fmt.Sprintf("if '*/%s' is present, must not specify %s", sub, r)))
		}
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		errs = append(errs, field.Invalid(at, resources, "if '*/*' is present, must not specify other resources"))
	}
	return errs
}
