package config

import (
	"net"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// service is the form of an endpoint that is a Service: labels of DNS, and a port's number or name.
var service = regexp.MustCompile(`^k8s:///[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[a-z0-9]([-a-z0-9]*[a-z0-9])?:[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// OfService tells whether endpoint is the Service of a cluster, k8s:///SERVICE.NAMESPACE:PORT.
func OfService(endpoint string) bool { return strings.HasPrefix(endpoint, "k8s:") }

func (b *Backend) validateEndpoint(path *field.Path) field.ErrorList {
	endpoint := path.Child("endpoint")
	switch {
	case b.Endpoint == "":
		return field.ErrorList{field.Required(endpoint, "say where the backend is, such as dns:///gatefold-identity:9443")}
	case b.Webhook():
		return b.validateWebhook(path)
	case strings.HasPrefix(b.Endpoint, "http://"):
		return field.ErrorList{field.Invalid(endpoint, b.Endpoint, "must be https://: reviews hold secrets; a gRPC target is written as dns:///host:9443")}
	case OfService(b.Endpoint) && !service.MatchString(b.Endpoint):
		return field.ErrorList{field.Invalid(endpoint, b.Endpoint,
			"must be k8s:///SERVICE.NAMESPACE:PORT, PORT being the number that the replicas listen on, or its name in the Service")}
	case ofDNS(b.Endpoint) && !hasPort(b.Endpoint):
		return field.ErrorList{field.Invalid(endpoint, b.Endpoint, "must have a port; write a target such as dns:///host:9443")}
	}
	errs := b.forbidWebhookFields(path)
	switch {
	case strings.HasPrefix(b.Endpoint, "inproc://"):
	case b.TLS == nil:
		errs = append(errs, field.Required(path.Child("tls"), "set caFile to the authority of the backend's certificate, here or in backendTLS, or mode: None for plain text"))
	default:
		errs = append(errs, b.TLS.Validate(path.Child("tls"))...)
	}
	return errs
}

// ofDNS tells whether endpoint is a name, or what gRPC takes for one.
func ofDNS(endpoint string) bool {
	return strings.HasPrefix(endpoint, "dns:") || !strings.Contains(endpoint, ":")
}

func hasPort(endpoint string) bool {
	_, port, err := net.SplitHostPort(endpoint[strings.LastIndexByte(endpoint, '/')+1:])
	return err == nil && port != ""
}
