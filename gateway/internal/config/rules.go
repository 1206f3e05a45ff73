package config

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const all = "*"

// validateRule makes the checks that kube-apiserver makes of a webhook's rule
// (k8s.io/kubernetes/pkg/apis/admissionregistration/validation), so that no rule stands there that can
// never match.
func validateRule(r *admissionregistrationv1.RuleWithOperations, path *field.Path) field.ErrorList {
	errs := validateList(names(r.Operations), path.Child("operations"), false)
	operations := []admissionregistrationv1.OperationType{
		admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
		admissionregistrationv1.Connect, admissionregistrationv1.OperationAll,
	}
	for i, op := range r.Operations {
		if !slices.Contains(operations, op) {
			errs = append(errs, field.NotSupported(path.Child("operations").Index(i), op, operations))
		}
	}
	errs = append(errs, validateList(r.APIGroups, path.Child("apiGroups"), true)...) // "" is the core group
	errs = append(errs, validateList(r.APIVersions, path.Child("apiVersions"), false)...)
	errs = append(errs, validateResources(r.Resources, path.Child("resources"))...)
	scopes := []admissionregistrationv1.ScopeType{
		admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope,
	}
	if r.Scope != nil && !slices.Contains(scopes, *r.Scope) {
		errs = append(errs, field.NotSupported(path.Child("scope"), *r.Scope, scopes))
	}
	return errs
}

func names[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// validateList checks a list of names of which "*" stands for all, and then stands alone.
func validateList(values []string, path *field.Path, emptyName bool) field.ErrorList {
	var errs field.ErrorList
	if len(values) == 0 {
		errs = append(errs, field.Required(path, `name at least one, or "*" for all`))
	}
	if len(values) > 1 && slices.Contains(values, all) {
		errs = append(errs, field.Invalid(path, values, `"*" is all of them: remove the others`))
	}
	for i, value := range values {
		if value == "" && !emptyName {
			errs = append(errs, field.Required(path.Index(i), "an empty name matches nothing"))
		}
	}
	return errs
}

// validateResources checks resources and resource/subresource pairs.
func validateResources(values []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(values) == 0 {
		return field.ErrorList{field.Required(path, `name at least one, or "*" for all`)}
	}
	for i, value := range values {
		resource, sub, hasSub := strings.Cut(value, "/")
		if resource == "" || hasSub && sub == "" || strings.Contains(sub, "/") {
			errs = append(errs, field.Invalid(path.Index(i), value, `must be a resource such as pods, a subresource such as pods/status, or have "*" for either`))
		}
	}
	if len(values) > 1 && slices.Contains(values, "*/*") {
		errs = append(errs, field.Invalid(path, values, `"*/*" is all of them: remove the others`))
	}
	return errs
}
