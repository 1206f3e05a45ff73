// Package config is the shape of kind GatewayConfig. A backend is described in the words of
// admissionregistration.k8s.io/v1, so that a webhook registration can be read across.
package config

import (
	"cmp"
	"reflect"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/sdk/config"
)

// Config is kind GatewayConfig.
type Config struct {
	config.TypeMeta `json:",inline"`
	// Listen is where kube-apiserver posts AdmissionReviews: always TLS, paths /mutate and /validate.
	Listen config.Listen `json:"listen"`
	// GRPC is where the gate's own gRPC API, health and reflection are served. Absent: nowhere. Its TLS
	// and client authentication default to those of Listen.
	GRPC *config.Listen `json:"grpc,omitempty"`
	// Admin is where /livez, /readyz and /metrics are served.
	Admin config.Admin `json:"admin,omitempty"`
	// Limits bound what the gate takes on.
	Limits Limits `json:"limits,omitempty"`
	// DrainSeconds is how long a stopping gate goes on answering, asking its clients to come back on
	// other connections. Default 15: a pod's address leaves the endpoints within that.
	DrainSeconds *int32 `json:"drainSeconds,omitempty"`
	// BackendTLS is how gRPC backends without a tls of their own are connected to. Webhooks (https://) never
	// take it: another team's server is not to be trusted, or shown the gate's certificate, by default.
	BackendTLS *config.ClientTLS `json:"backendTLS,omitempty"`
	// Backends are the mutators and validators behind the gate.
	Backends []Backend `json:"backends,omitempty"`
}

// Limits bound what the gate takes on. What exceeds them is asked to come again (503 with
// Retry-After), or, where it never can, refused with code 413.
type Limits struct {
	// ReviewBytes is the largest AdmissionReview, in bytes. Default 32 MiB: a 3 MiB object whose
	// every character is escaped in six bytes, with an old object beside it.
	ReviewBytes int64 `json:"reviewBytes,omitempty"`
	// InFlightBytes bounds the reviews being decided at once, in bytes as they are sent. A review takes
	// about three times that while it is decided, and once more for each backend that is just being asked.
	// Default 256 MiB.
	InFlightBytes int64 `json:"inFlightBytes,omitempty"`
}

// Backend types.
const (
	Mutator   = "Mutator"
	Validator = "Validator"
)

// Backend modes.
const (
	Live   = "Live"
	Shadow = "Shadow"
)

// Backend is one mutator or validator.
type Backend struct {
	// Name is unique; it stands in traces, metrics, refusals and attribution.
	Name string `json:"name"`
	// Type is Mutator or Validator.
	Type string `json:"type"`
	// Endpoint is where the replicas are: dns:///host:9443 for all addresses of a name, which is looked
	// up all the time; k8s:///SERVICE.NAMESPACE:PORT for the ready endpoints of a Service, PORT being
	// the number that they listen on or its name in the Service; https://host/mutate for an admission webhook,
	// whose redirects are not followed; inproc://NAME in the all-in-one.
	Endpoint string `json:"endpoint"`
	// Handler is which of the process's mutators or validators is asked. Default: Name. A webhook has none.
	Handler string `json:"handler,omitempty"`
	// TLS is how the connection is made safe. Default: backendTLS; without either, inproc:// and webhooks
	// only. For a webhook it may name no more than a client certificate, and is then without caFile.
	TLS *config.ClientTLS `json:"tls,omitempty"`
	// CABundle are the certificate authorities that a webhook's certificate is checked against, PEM in base64,
	// as in a webhook registration. Default: tls.caFile; without either, the authorities of the system.
	CABundle []byte `json:"caBundle,omitempty"`
	// BearerTokenFile holds a token that is sent to the webhook, and read again as it changes.
	BearerTokenFile string `json:"bearerTokenFile,omitempty"`
	// AdmissionReviewVersions are the versions of AdmissionReview that the webhook understands; it is sent the
	// first that the gate knows, of v1 and v1beta1. Default: v1.
	AdmissionReviewVersions []string `json:"admissionReviewVersions,omitempty"`
	// Rules say which requests concern the backend; at least one.
	Rules []admissionregistrationv1.RuleWithOperations `json:"rules"`
	// MatchPolicy is Equivalent (default: the rules may name the resource as it was requested or as
	// kube-apiserver converted it) or Exact (only as requested).
	MatchPolicy *admissionregistrationv1.MatchPolicyType `json:"matchPolicy,omitempty"`
	// NamespaceSelector selects by the labels of the object's namespace. Default: every namespace.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ObjectSelector selects by the labels of the object or the old object. Default: every object.
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
	// MatchConditions are CEL expressions that must all hold.
	MatchConditions []admissionregistrationv1.MatchCondition `json:"matchConditions,omitempty"`
	// FailurePolicy is what a failure of the backend means: Fail (default) fails the request, Ignore
	// lets it pass with a warning.
	FailurePolicy *admissionregistrationv1.FailurePolicyType `json:"failurePolicy,omitempty"`
	// TimeoutSeconds is the longest one call may take, 1 to 30. Default 5. What is left of the
	// apiserver's own deadline bounds it further.
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// MaxConcurrentCalls bounds how many calls to the backend are under way at once; more wait, within their
	// deadline. Default 256.
	MaxConcurrentCalls *int32 `json:"maxConcurrentCalls,omitempty"`
	// Mode is Live (default), or Shadow: the backend is asked beside the others, after the answer was given, and
	// metrics, traces and the log say what it would have done. Nobody is affected by it.
	Mode string `json:"mode,omitempty"`
	// After names the backends of the same type that come before this one. Without it, by name. Validators
	// are asked at once; of them it orders the messages.
	After []string `json:"after,omitempty"`
	// Observes are the JSON pointers of what a mutator's answer depends on, with everything below, "*" standing
	// for every member or element of one level; default: everything. Where an earlier mutator has changed nothing
	// of it, the answer holds, and this one is not asked again. It must name what the mutator looks at before it
	// decides, be it only to see whether its label is there already; not where in a list something stands, nor
	// whether there is an object yet to put its label into.
	Observes []string `json:"observes,omitempty"`
	// MayPatch are the JSON pointers a mutator may change, with everything below, "*" standing for one
	// level; default: everything that any mutator may change.
	MayPatch []string `json:"mayPatch,omitempty"`
}

// Required tells whether a failure of the backend fails the request.
func (b *Backend) Required() bool { return *b.FailurePolicy == admissionregistrationv1.Fail }

// Shadow tells whether the backend is asked without being heard.
func (b *Backend) Shadow() bool { return b.Mode == Shadow }

// Timeout is the longest one call may take.
func (b *Backend) Timeout() time.Duration { return time.Duration(*b.TimeoutSeconds) * time.Second }

// Drain is how long a stopping gate goes on answering.
func (c *Config) Drain() time.Duration { return time.Duration(*c.DrainSeconds) * time.Second }

// NeedsRestart tells whether next differs from c in what a running gate cannot change.
func (c *Config) NeedsRestart(next *Config) bool {
	return !reflect.DeepEqual(c.Listen, next.Listen) || !reflect.DeepEqual(c.GRPC, next.GRPC) || c.Admin != next.Admin ||
		c.Limits != next.Limits || c.Drain() != next.Drain()
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	setDefault(&c.DrainSeconds, 15)
	if c.Limits.ReviewBytes == 0 {
		c.Limits.ReviewBytes = 32 << 20
	}
	if c.Limits.InFlightBytes == 0 {
		c.Limits.InFlightBytes = 256 << 20
	}
	if c.GRPC != nil {
		inherit(&c.GRPC.TLS, c.Listen.TLS)
		inherit(&c.GRPC.ClientAuth, c.Listen.ClientAuth)
	}
	for i := range c.Backends {
		b := &c.Backends[i]
		setDefault(&b.FailurePolicy, admissionregistrationv1.Fail)
		setDefault(&b.MatchPolicy, admissionregistrationv1.Equivalent)
		setDefault(&b.TimeoutSeconds, 5)
		setDefault(&b.MaxConcurrentCalls, 256)
		b.Mode = cmp.Or(b.Mode, Live)
		if b.Handler == "" {
			b.Handler = b.Name
		}
		if b.Webhook() {
			if b.AdmissionReviewVersions == nil {
				b.AdmissionReviewVersions = []string{"v1"}
			}
			continue
		}
		inherit(&b.TLS, c.BackendTLS)
	}
}

func setDefault[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

// inherit copies, so that ResolvePaths meets every file name once.
func inherit[T any](p **T, from *T) {
	if *p == nil && from != nil {
		value := *from
		*p = &value
	}
}

// ResolvePaths makes every file name independent of the working directory.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.Listen.ResolvePaths(resolve)
	c.GRPC.ResolvePaths(resolve)
	c.BackendTLS.ResolvePaths(resolve)
	for i := range c.Backends {
		c.Backends[i].TLS.ResolvePaths(resolve)
		c.Backends[i].BearerTokenFile = resolve(c.Backends[i].BearerTokenFile)
	}
}
