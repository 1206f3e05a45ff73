package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk"
)

// Validate says everything that is wrong with the configuration. CEL expressions and selectors are
// checked where they are compiled, by route.
func (c *Config) Validate() field.ErrorList {
	errs := c.Listen.Validate(field.NewPath("listen"))
	if c.GRPC != nil {
		path := field.NewPath("grpc")
		errs = append(errs, c.GRPC.Validate(path)...)
		if c.GRPC.TLS == nil && c.GRPC.ClientAuth != nil && c.GRPC.ClientAuth.CAFile != "" {
			errs = append(errs, field.Required(path.Child("tls"), "clients cannot be told apart without TLS; set certFile and keyFile"))
		}
		if c.GRPC.Address == "" {
			errs = append(errs, field.Required(path.Child("address"), "say where to serve gRPC, such as 127.0.0.1:9442"))
		}
	}
	errs = append(errs, c.Admin.Validate(field.NewPath("admin"))...)
	limits := field.NewPath("limits")
	if c.Limits.ReviewBytes < 0 || c.Limits.ReviewBytes > sdk.MaxMessageBytes {
		errs = append(errs, field.Invalid(limits.Child("reviewBytes"), c.Limits.ReviewBytes,
			fmt.Sprintf("must be positive and at most %d, the most that a backend can be sent", sdk.MaxMessageBytes)))
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
	if c.Backends == nil {
		errs = append(errs, field.Required(field.NewPath("backends"), "name the mutators and validators; a gate that asks nobody has backends: []"))
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
	if n := *b.MaxConcurrentCalls; n < 1 {
		errs = append(errs, field.Invalid(path.Child("maxConcurrentCalls"), n, "must be at least 1"))
	}
	if b.Mode != Live && b.Mode != Shadow {
		errs = append(errs, field.NotSupported(path.Child("mode"), b.Mode, []string{Live, Shadow}))
	}
	for _, pointers := range []struct {
		name   string
		values []string
	}{{"observes", b.Observes}, {"mayPatch", b.MayPatch}} {
		if len(pointers.values) > 0 && b.Type == Validator {
			errs = append(errs, field.Forbidden(path.Child(pointers.name), "only a Mutator has it"))
		}
		for i, p := range pointers.values {
			switch {
			case strings.HasSuffix(p, "/"):
				errs = append(errs, field.Invalid(path.Child(pointers.name).Index(i), p, "must not end with /, which would name a member without a name"))
			case !pointer.MatchString(p):
				errs = append(errs, field.Invalid(path.Child(pointers.name).Index(i), p, "must be a JSON pointer such as /metadata/labels, with ~1 for / and ~0 for ~"))
			}
		}
	}
	if b.MayPatch != nil && len(b.MayPatch) == 0 {
		errs = append(errs, field.Invalid(path.Child("mayPatch"), b.MayPatch, "must name something; without mayPatch everything may be patched"))
	}
	if b.Observes != nil && len(b.Observes) == 0 {
		errs = append(errs, field.Invalid(path.Child("observes"), b.Observes, "must name something; without observes everything is taken to be observed"))
	}
	return errs
}

// pointer is a JSON pointer (RFC 6901) to something below the root.
var pointer = regexp.MustCompile(`^(/([^~/]|~[01])*)+$`)
