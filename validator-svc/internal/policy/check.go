package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What follows is kube-apiserver's own validation of the two kinds (k8s.io/kubernetes
// pkg/apis/admissionregistration/validation, which cannot be imported), so that a file that would be
// refused by a cluster is refused here, too. The expressions are the business of compile.go.

const (
	maxMatchConditions       = 64
	maxAuditAnnotations      = 20
	maxAuditAnnotationLength = 5 * 1024 // bytes of a valueExpression
)

func checkPolicy(p *v1.ValidatingAdmissionPolicy) field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkName(p.Name)
	errs = append(errs, oneOf(spec.Child("failurePolicy"), *p.Spec.FailurePolicy, v1.Fail, v1.Ignore)...)
	if p.Spec.ParamKind != nil {
		errs = append(errs, checkParamKind(p.Spec.ParamKind, spec.Child("paramKind"))...)
	}
	if p.Spec.MatchConstraints == nil {
		errs = append(errs, field.Required(spec.Child("matchConstraints"), "say what the policy is about"))
	} else {
		constraints := spec.Child("matchConstraints")
		errs = append(errs, checkMatch(p.Spec.MatchConstraints, constraints)...)
		if len(p.Spec.MatchConstraints.ResourceRules) == 0 {
			errs = append(errs, field.Required(constraints.Child("resourceRules"), "write at least one rule"))
		}
	}
	if n := len(p.Spec.MatchConditions); n > maxMatchConditions {
		errs = append(errs, field.TooMany(spec.Child("matchConditions"), n, maxMatchConditions))
	}
	var names []string
	for i, c := range p.Spec.MatchConditions {
		at := spec.Child("matchConditions").Index(i).Child("name")
		names = append(names, c.Name)
		errs = append(errs, qualifiedName(at, c.Name)...)
	}
	errs = append(errs, unique(spec.Child("matchConditions"), "name", names)...)
	for i, v := range p.Spec.Variables {
		if !isIdentifier(v.Name) {
			errs = append(errs, field.Invalid(spec.Child("variables").Index(i).Child("name"), v.Name, "must be a valid CEL identifier"))
		}
	}
	if len(p.Spec.Validations) == 0 && len(p.Spec.AuditAnnotations) == 0 {
		errs = append(errs, field.Required(spec.Child("validations"), "validations or auditAnnotations must contain at least one item"))
	}
	for i, v := range p.Spec.Validations {
		errs = append(errs, checkValidation(&v, spec.Child("validations").Index(i))...)
	}
	return append(errs, checkAuditAnnotations(p, spec.Child("auditAnnotations"))...)
}

func checkBinding(b *v1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkName(b.Name)
	if b.Spec.PolicyName == "" {
		errs = append(errs, field.Required(spec.Child("policyName"), "name the policy to bind"))
	} else {
		errs = append(errs, invalid(spec.Child("policyName"), b.Spec.PolicyName, validation.NameIsDNSSubdomain(b.Spec.PolicyName, false))...)
	}
	if b.Spec.ParamRef != nil {
		errs = append(errs, checkParamRef(b.Spec.ParamRef, spec.Child("paramRef"))...)
	}
	if b.Spec.MatchResources != nil {
		errs = append(errs, checkMatch(b.Spec.MatchResources, spec.Child("matchResources"))...)
	}
	return append(errs, checkActions(b.Spec.ValidationActions, spec.Child("validationActions"))...)
}

func checkName(name string) field.ErrorList {
	at := field.NewPath("metadata", "name")
	if name == "" {
		return field.ErrorList{field.Required(at, "name the object")}
	}
	return invalid(at, name, validation.NameIsDNSSubdomain(name, false))
}

func checkParamKind(k *v1.ParamKind, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if gv, err := schema.ParseGroupVersion(k.APIVersion); err != nil {
		errs = append(errs, field.Invalid(at.Child("apiVersion"), k.APIVersion, err.Error()))
	} else if gv.Version == "" {
		errs = append(errs, field.Required(at.Child("apiVersion"), "write group/version, or v1"))
	}
	if k.Kind == "" {
		return append(errs, field.Required(at.Child("kind"), "name the kind of the params"))
	}
	return append(errs, invalid(at.Child("kind"), k.Kind, utilvalidation.IsDNS1035Label(strings.ToLower(k.Kind)))...)
}

func checkParamRef(r *v1.ParamRef, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case r.Name != "" && r.Selector != nil:
		errs = append(errs, field.Forbidden(at.Child("name"), "name and selector are mutually exclusive"))
	case r.Name == "" && r.Selector == nil:
		errs = append(errs, field.Required(at, "one of name or selector must be specified"))
	case r.Name != "":
		errs = append(errs, invalid(at.Child("name"), r.Name, content.IsPathSegmentName(r.Name))...)
	default:
		errs = append(errs, checkSelector(r.Selector, at.Child("selector"))...)
	}
	if r.ParameterNotFoundAction == nil || *r.ParameterNotFoundAction == "" {
		return append(errs, field.Required(at.Child("parameterNotFoundAction"), "write Allow or Deny"))
	}
	return append(errs, oneOf(at.Child("parameterNotFoundAction"), *r.ParameterNotFoundAction, v1.AllowAction, v1.DenyAction)...)
}

func checkActions(actions []v1.ValidationAction, at *field.Path) field.ErrorList {
	if len(actions) == 0 {
		return field.ErrorList{field.Required(at, "at least one validation action is required: Deny, Warn or Audit")}
	}
	var errs field.ErrorList
	for i, a := range actions {
		errs = append(errs, oneOf(at.Index(i), a, v1.Audit, v1.Deny, v1.Warn)...)
	}
	if slices.Contains(actions, v1.Deny) && slices.Contains(actions, v1.Warn) {
		errs = append(errs, field.Invalid(at, actions, "must not contain both Deny and Warn: the user would read the same twice"))
	}
	return append(errs, unique(at, "", actions)...)
}

func checkValidation(v *v1.Validation, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if v.MessageExpression != "" && strings.TrimSpace(v.MessageExpression) == "" {
		errs = append(errs, field.Invalid(at.Child("messageExpression"), v.MessageExpression, "must be non-empty if specified"))
	}
	trimmed := strings.TrimSpace(v.Message)
	if v.Message != "" && trimmed == "" {
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must be non-empty if specified"))
	}
	if strings.ContainsAny(trimmed, "\n\r") {
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must not contain line breaks"))
	}
	if v.Reason != nil {
		errs = append(errs, oneOf(at.Child("reason"), *v.Reason,
			metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)...)
	}
	return errs
}

func checkAuditAnnotations(p *v1.ValidatingAdmissionPolicy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if n := len(p.Spec.AuditAnnotations); n > maxAuditAnnotations {
		errs = append(errs, field.TooMany(at, n, maxAuditAnnotations))
	}
	var keys []string
	for i, a := range p.Spec.AuditAnnotations {
		keys = append(keys, a.Key)
		errs = append(errs, qualifiedName(at.Index(i).Child("key"), p.Name+"/"+a.Key)...)
		if len(strings.TrimSpace(a.ValueExpression)) > maxAuditAnnotationLength {
			errs = append(errs, field.TooLong(at.Index(i).Child("valueExpression"), "", maxAuditAnnotationLength))
		}
	}
	return append(errs, unique(at, "key", keys)...)
}

func invalid(at *field.Path, value string, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, m := range messages {
		errs = append(errs, field.Invalid(at, value, m))
	}
	return errs
}

func qualifiedName(at *field.Path, name string) field.ErrorList {
	return invalid(at, name, utilvalidation.IsQualifiedName(name))
}

func oneOf[T ~string](at *field.Path, value T, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, supported)}
}

// unique reports values that come a second time; name is the field of the item that holds the value.
func unique[T ~string](at *field.Path, name string, values []T) field.ErrorList {
	var errs field.ErrorList
	for i, v := range values {
		if slices.Contains(values[:i], v) && v != "" {
			item := at.Index(i)
			if name != "" {
				item = item.Child(name)
			}
			errs = append(errs, field.Duplicate(item, v))
		}
	}
	return errs
}

func checkSelector(s *metav1.LabelSelector, at *field.Path) field.ErrorList {
	return metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, at)
}

var identifier = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)

// reserved are the words that CEL keeps for itself.
var reserved = strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while")

func isIdentifier(name string) bool {
	return identifier.MatchString(name) && !slices.Contains(reserved, name)
}

func checkMatch(m *v1.MatchResources, at *field.Path) field.ErrorList {
	errs := oneOf(at.Child("matchPolicy"), *m.MatchPolicy, v1.Exact, v1.Equivalent)
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
	errs = append(errs, unique(at.Child("resourceNames"), "", r.ResourceNames)...)
	errs = append(errs, wildcard(at.Child("operations"), r.Operations)...)
	for i, op := range r.Operations {
		errs = append(errs, oneOf(at.Child("operations").Index(i), op, v1.OperationAll, v1.Connect, v1.Create, v1.Delete, v1.Update)...)
	}
	errs = append(errs, wildcard(at.Child("apiGroups"), r.APIGroups)...)
	errs = append(errs, wildcard(at.Child("apiVersions"), r.APIVersions)...)
	for i, version := range r.APIVersions {
		if version == "" {
			errs = append(errs, field.Required(at.Child("apiVersions").Index(i), "name a version, or *"))
		}
	}
	errs = append(errs, checkResources(r.Resources, at.Child("resources"))...)
	return append(errs, oneOf(at.Child("scope"), *r.Scope, v1.AllScopes, v1.ClusterScope, v1.NamespacedScope)...)
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
	plain := slices.ContainsFunc(resources, func(r string) bool { return r != "*" && !strings.Contains(r, "/") })
	if slices.Contains(resources, "*") && plain {
		errs = append(errs, field.Invalid(at, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	for i, r := range resources {
		res, sub, isSub := strings.Cut(r, "/")
		switch {
		case r == "":
			errs = append(errs, field.Required(at.Index(i), "name a resource, or *"))
		case r == "*/*" && len(resources) > 1:
			errs = append(errs, field.Invalid(at, resources, "if '*/*' is present, must not specify other resources"))
		case isSub && slices.Contains(resources[:i], res+"/*"):
			errs = append(errs, field.Invalid(at.Index(i), r, fmt.Sprintf("if '%s/*' is present, must not specify %s", res, r)))
		case isSub && slices.Contains(resources[:i], "*/"+sub):
			errs = append(errs, field.Invalid(at.Index(i), r, fmt.Sprintf("if '*/%s' is present, must not specify %s", sub, r)))
		}
	}
	return errs
}
