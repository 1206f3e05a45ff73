package config

import (
	"crypto/x509"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// reviewVersions are those of admission.k8s.io that the gate speaks.
var reviewVersions = []string{"v1", "v1beta1"}

// Webhook tells whether the backend is an admission webhook rather than a gRPC service.
func (b *Backend) Webhook() bool { return strings.HasPrefix(b.Endpoint, "https://") }

// ReviewVersion is the version of AdmissionReview that a webhook is sent: v1, v1beta1, or "" when it
// understands neither.
func (b *Backend) ReviewVersion() string {
	known := slices.IndexFunc(b.AdmissionReviewVersions, func(v string) bool { return slices.Contains(reviewVersions, v) })
	if known < 0 {
		return ""
	}
	return b.AdmissionReviewVersions[known]
}

// validateWebhook makes the checks that kube-apiserver makes of a webhook's clientConfig
// (k8s.io/apiserver/pkg/util/webhook/validation.go), but for a query, which it does not allow.
func (b *Backend) validateWebhook(path *field.Path) field.ErrorList {
	errs := validateURL(b.Endpoint, path.Child("endpoint"))
	if b.Handler != b.Name {
		errs = append(errs, field.Forbidden(path.Child("handler"), "a webhook is told apart by the path of its endpoint: remove it"))
	}
	if b.ReviewVersion() == "" {
		errs = append(errs, field.Invalid(path.Child("admissionReviewVersions"), b.AdmissionReviewVersions, "must name a version that the gate speaks: v1 or v1beta1"))
	}
	if len(b.CABundle) > 0 && !x509.NewCertPool().AppendCertsFromPEM(b.CABundle) {
		errs = append(errs, field.Invalid(path.Child("caBundle"), "...", "must be the base64 of one or more certificates in PEM"))
	}
	if b.TLS != nil {
		errs = append(errs, b.validateWebhookTLS(path.Child("tls"))...)
	}
	return errs
}

func (b *Backend) validateWebhookTLS(path *field.Path) field.ErrorList {
	switch {
	case b.TLS.Mode != "":
		return field.ErrorList{field.Forbidden(path.Child("mode"), "https:// is never plain text: remove it")}
	case len(b.CABundle) > 0 && b.TLS.CAFile != "":
		return field.ErrorList{field.Forbidden(path.Child("caFile"), "caBundle is set too: keep one of them")}
	case b.TLS.CAFile == "":
		// Without one, the authorities are those of caBundle or of the system; what else is wrong is found as
		// if there were one.
		own := *b.TLS
		own.CAFile = "system"
		return own.Validate(path)
	default:
		return b.TLS.Validate(path)
	}
}

func (b *Backend) forbidWebhookFields(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		set  bool
		use  string
	}{
		{"caBundle", len(b.CABundle) > 0, "write tls.caFile"},
		{"bearerTokenFile", b.BearerTokenFile != "", "a gRPC backend knows the gate by tls.certFile"},
		{"admissionReviewVersions", b.AdmissionReviewVersions != nil, "a gRPC backend is sent no AdmissionReview"},
	} {
		if f.set {
			errs = append(errs, field.Forbidden(path.Child(f.name), "only a webhook (endpoint https://) has it; "+f.use))
		}
	}
	return errs
}

func validateURL(endpoint string, path *field.Path) field.ErrorList {
	invalid := func(what string) field.ErrorList { return field.ErrorList{field.Invalid(path, endpoint, what)} }
	u, err := url.Parse(endpoint)
	if err != nil {
		// url.Error repeats the endpoint, and with it a password.
		return field.ErrorList{field.Invalid(path, "...", "must be a URL such as https://host:8443/mutate")}
	}
	if u.User != nil {
		return field.ErrorList{field.Invalid(path, u.Redacted(), "must not hold a user or password: use tls.certFile or bearerTokenFile")}
	}
	_, queryErr := url.ParseQuery(u.RawQuery)
	_, portErr := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Hostname() == "":
		return invalid("must name a host, such as https://host:8443/mutate")
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && portErr != nil:
		return invalid("must have a port from 0 to 65535, or none for 443")
	case u.Fragment != "" || strings.Contains(endpoint, "#"):
		return invalid("must not have a fragment (#...): it would not be sent")
	case queryErr != nil:
		return invalid("must have a query that can be read: " + queryErr.Error())
	case u.Query().Has("timeout"):
		return invalid("must not have a timeout in its query: the gate adds the time that is left, see timeoutSeconds")
	}
	return nil
}
