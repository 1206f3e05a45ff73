package config

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate says everything that is wrong with the configuration. CEL expressions and selectors are
// checked where they are compiled, by route.
func (c *Config) Validate() field.ErrorList {
	errs := c.Listen.Validate(field.NewPath("listen"))
	if c.GRPC != nil {
		path := field.NewPath("grpc")
		errs = append(errs, c.GRPC.Validate(path)...)
		if c.GRPC.Address == "" {
			errs = append(errs, field.Required(path.Child("address"), "say where to serve gRPC, such as 127.0.0.1:9442"))
		}
	}
	errs = append(errs, c.Admin.Validate(field.NewPath("admin"))...)
	limits := field.NewPath("limits")
	if c.Limits.ReviewBytes < 0 {
		errs = append(errs, field.Invalid(limits.Child("reviewBytes"), c.Limits.ReviewBytes, "must be positive"))
	}
	if c.Limits.InFlightBytes < c.Limits.ReviewBytes {
		errs = append(errs, field.Invalid(limits.Child("inFlightBytes"), c.Limits.InFlightBytes,
			fmt.Sprintf("must hold at least one review, limits.reviewBytes %d", c.Limits.ReviewBytes)))
	}
	if *c.DrainSeconds < 0 {
		errs = append(errs, field.Invalid(field.NewPath("drainSeconds"), *c.DrainSeconds, "must not be negative"))
	}
	if c.BackendTLS != nil {
		errs = append(errs, c.BackendTLS.Validate(field.NewPath("backendTLS"))...)
	}
	seen := map[string]bool{}
	for i := range c.Backends {
		path := field.NewPath("backends").Index(i)
		b := &c.Backends[i]
		if seen[b.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), b.Name))
		}
		seen[b.Name] = true
		errs = append(errs, b.validate(path)...)
	}
	for _, kind := range []string{Mutator, Validator} {
		_, orderErrs := Order(c.Backends, kind)
		errs = append(errs, orderErrs...)
	}
	return errs
}

func (b *Backend) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if msgs := validation.IsDNS1123Label(b.Name); len(msgs) > 0 {
		errs = append(errs, field.Invalid(path.Child("name"), b.Name, strings.Join(msgs, "; ")))
	}
	if b.Type != Mutator && b.Type != Validator {
		errs = append(errs, field.NotSupported(path.Child("type"), b.Type, []string{Mutator, Validator}))
	}
	errs = append(errs, b.validateEndpoint(path)...)
	if len(b.Rules) == 0 {
		errs = append(errs, field.Required(path.Child("rules"), "say which requests concern the backend"))
	}
	for i := range b.Rules {
		errs = append(errs, validateRule(&b.Rules[i], path.Child("rules").Index(i))...)
	}
	policies := []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore}
	if !slices.Contains(policies, *b.FailurePolicy) {
		errs = append(errs, field.NotSupported(path.Child("failurePolicy"), *b.FailurePolicy, policies))
	}
	matches := []admissionregistrationv1.MatchPolicyType{admissionregistrationv1.Equivalent, admissionregistrationv1.Exact}
	if !slices.Contains(matches, *b.MatchPolicy) {
		errs = append(errs, field.NotSupported(path.Child("matchPolicy"), *b.MatchPolicy, matches))
	}
	if t := *b.TimeoutSeconds; t < 1 || t > 30 {
		errs = append(errs, field.Invalid(path.Child("timeoutSeconds"), t, "must be from 1 to 30 seconds"))
	}
	for _, pointers := range []struct {
		name   string
		values []string
	}{{"observes", b.Observes}, {"mayPatch", b.MayPatch}} {
		if len(pointers.values) > 0 && b.Type == Validator {
			errs = append(errs, field.Forbidden(path.Child(pointers.name), "only a Mutator has it"))
		}
		for i, p := range pointers.values {
			if !strings.HasPrefix(p, "/") {
				errs = append(errs, field.Invalid(path.Child(pointers.name).Index(i), p, "must be a JSON pointer such as /metadata/labels"))
			}
		}
	}
	return errs
}

func (b *Backend) validateEndpoint(path *field.Path) field.ErrorList {
	endpoint := path.Child("endpoint")
	switch {
	case b.Endpoint == "":
		return field.ErrorList{field.Required(endpoint, "say where the backend is, such as dns:///gatefold-identity:9443")}
	case strings.HasPrefix(b.Endpoint, "https://"), strings.HasPrefix(b.Endpoint, "http://"):
		return field.ErrorList{field.Invalid(endpoint, b.Endpoint, "must be a gRPC target such as dns:///host:9443")}
	case strings.HasPrefix(b.Endpoint, "inproc://"):
		return nil
	case b.TLS == nil:
		return field.ErrorList{field.Required(path.Child("tls"), "set caFile to the authority of the backend's certificate, here or in backendTLS, or mode: None for plain text")}
	default:
		return b.TLS.Validate(path.Child("tls"))
	}
}

func validateRule(r *admissionregistrationv1.RuleWithOperations, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		name  string
		empty bool
	}{
		{"operations", len(r.Operations) == 0},
		{"apiGroups", len(r.APIGroups) == 0},
		{"apiVersions", len(r.APIVersions) == 0},
		{"resources", len(r.Resources) == 0},
	} {
		if list.empty {
			errs = append(errs, field.Required(path.Child(list.name), `name at least one, or "*" for all`))
		}
	}
	operations := []admissionregistrationv1.OperationType{
		admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
		admissionregistrationv1.Connect, admissionregistrationv1.OperationAll,
	}
	for i, op := range r.Operations {
		if !slices.Contains(operations, op) {
			errs = append(errs, field.NotSupported(path.Child("operations").Index(i), op, operations))
		}
	}
	scopes := []admissionregistrationv1.ScopeType{
		admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope,
	}
	if r.Scope != nil && !slices.Contains(scopes, *r.Scope) {
		errs = append(errs, field.NotSupported(path.Child("scope"), *r.Scope, scopes))
	}
	return errs
}
