// Package spec has the defaults of kube-apiserver's policies and bindings, and what it refuses of them, as far
// as the kinds of policies have it in common. The rules are those of k8s.io/kubernetes
// pkg/apis/admissionregistration, which cannot be imported, so that a file that would be refused by a cluster
// is refused here, too.
package spec

import (
	"regexp"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxMatchConditions = 64

// Policy is what all kinds of policies have in common.
type Policy struct {
	Meta             *metav1.ObjectMeta
	FailurePolicy    *v1.FailurePolicyType
	ParamKind        *v1.ParamKind
	MatchConstraints *v1.MatchResources
	MatchConditions  []v1.MatchCondition
	Variables        []v1.Variable
}

// Check says what kube-apiserver would refuse of p, which has its defaults. The expressions are the business
// of the compiler.
func (p *Policy) Check() field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkMeta(p.Meta)
	errs = append(errs, OneOf(spec.Child("failurePolicy"), *p.FailurePolicy, v1.Fail, v1.Ignore)...)
	if p.ParamKind != nil {
		errs = append(errs, checkParamKind(p.ParamKind, spec.Child("paramKind"))...)
	}
	if p.MatchConstraints == nil {
		errs = append(errs, field.Required(spec.Child("matchConstraints"), "say what the policy is about"))
	} else {
		constraints := spec.Child("matchConstraints")
		errs = append(errs, checkMatch(p.MatchConstraints, constraints)...)
		if len(p.MatchConstraints.ResourceRules) == 0 {
			errs = append(errs, field.Required(constraints.Child("resourceRules"), "write at least one rule"))
		}
	}
	if n := len(p.MatchConditions); n > maxMatchConditions {
		errs = append(errs, field.TooMany(spec.Child("matchConditions"), n, maxMatchConditions))
	}
	for i, c := range p.MatchConditions {
		at := spec.Child("matchConditions").Index(i).Child("name")
		errs = append(errs, QualifiedName(at, c.Name)...)
		if c.Name != "" && slices.ContainsFunc(p.MatchConditions[:i], func(before v1.MatchCondition) bool { return before.Name == c.Name }) {
			errs = append(errs, field.Duplicate(at, c.Name))
		}
	}
	for i, v := range p.Variables {
		if !isIdentifier(v.Name) {
			errs = append(errs, field.Invalid(spec.Child("variables").Index(i).Child("name"), v.Name, "must be a valid CEL identifier"))
		}
	}
	return errs
}

// Binding is what all kinds of bindings have in common.
type Binding struct {
	Meta           *metav1.ObjectMeta
	PolicyName     string
	ParamRef       *v1.ParamRef
	MatchResources *v1.MatchResources
}

// Check says what kube-apiserver would refuse of b, which has its defaults.
func (b *Binding) Check() field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkMeta(b.Meta)
	if b.PolicyName == "" {
		errs = append(errs, field.Required(spec.Child("policyName"), "name the policy to bind"))
	} else {
		errs = append(errs, invalid(spec.Child("policyName"), b.PolicyName, validation.NameIsDNSSubdomain(b.PolicyName, false))...)
	}
	if b.ParamRef != nil {
		errs = append(errs, checkParamRef(b.ParamRef, spec.Child("paramRef"))...)
	}
	if b.MatchResources != nil {
		errs = append(errs, checkMatch(b.MatchResources, spec.Child("matchResources"))...)
	}
	return errs
}

// checkMeta wants a name also of an object that has a generateName, which `kubectl apply` does not take either.
func checkMeta(meta *metav1.ObjectMeta) field.ErrorList {
	given := *meta
	given.Namespace, given.Generation = "", 0 // kube-apiserver sets them itself
	var errs field.ErrorList
	if given.Name == "" && given.GenerateName != "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "name"), "name the object"))
	}
	return append(errs, validation.ValidateObjectMeta(&given, false, validation.NameIsDNSSubdomain, field.NewPath("metadata"))...)
}

func checkParamKind(k *v1.ParamKind, at *field.Path) field.ErrorList {
	errs := checkAPIVersion(k.APIVersion, at.Child("apiVersion"))
	if k.Kind == "" {
		return append(errs, field.Required(at.Child("kind"), "name the kind of the params"))
	}
	return append(errs, invalid(at.Child("kind"), k.Kind, utilvalidation.IsDNS1035Label(strings.ToLower(k.Kind)))...)
}

func checkAPIVersion(apiVersion string, at *field.Path) field.ErrorList {
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, apiVersion, err.Error())}
	case gv.Version == "":
		return field.ErrorList{field.Required(at, "write group/version, or v1")}
	}
	var errs field.ErrorList
	if gv.Group != "" {
		errs = invalid(at, gv.Group, utilvalidation.IsDNS1123Subdomain(gv.Group))
	}
	return append(errs, invalid(at, gv.Version, utilvalidation.IsDNS1035Label(gv.Version))...)
}

func checkParamRef(r *v1.ParamRef, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.Name != "" {
		errs = append(errs, invalid(at.Child("name"), r.Name, content.IsPathSegmentName(r.Name))...)
	}
	if r.Selector != nil {
		errs = append(errs, checkSelector(r.Selector, at.Child("selector"))...)
	}
	switch {
	case r.Name != "" && r.Selector != nil:
		const both = "name and selector are mutually exclusive"
		errs = append(errs, field.Forbidden(at.Child("name"), both), field.Forbidden(at.Child("selector"), both))
	case r.Name == "" && r.Selector == nil:
		errs = append(errs, field.Required(at, "one of name or selector must be specified"))
	}
	if r.ParameterNotFoundAction == nil || *r.ParameterNotFoundAction == "" {
		return append(errs, field.Required(at.Child("parameterNotFoundAction"), "write Allow or Deny"))
	}
	return append(errs, OneOf(at.Child("parameterNotFoundAction"), *r.ParameterNotFoundAction, v1.AllowAction, v1.DenyAction)...)
}

func invalid(at *field.Path, value string, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, m := range messages {
		errs = append(errs, field.Invalid(at, value, m))
	}
	return errs
}

// QualifiedName wants name to be a qualified one: a label's key, say.
func QualifiedName(at *field.Path, name string) field.ErrorList {
	return invalid(at, name, utilvalidation.IsQualifiedName(name))
}

// OneOf wants value to be one of supported.
func OneOf[T ~string](at *field.Path, value T, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, supported)}
}

// Unique reports values that come a second time; name is the field of the item that holds the value.
func Unique[T ~string](at *field.Path, name string, values []T) field.ErrorList {
	var errs field.ErrorList
	for i, v := range values {
		if slices.Contains(values[:i], v) {
			item := at.Index(i)
			if name != "" {
				item = item.Child(name)
			}
			errs = append(errs, field.Duplicate(item, v))
		}
	}
	return errs
}

var identifier = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)

// reserved are the words that CEL keeps for itself.
var reserved = strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while")

func isIdentifier(name string) bool {
	return identifier.MatchString(name) && !slices.Contains(reserved, name)
}
