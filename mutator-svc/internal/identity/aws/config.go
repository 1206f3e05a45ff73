package aws

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// minTokenExpiration is the shortest life, in seconds, that kube-apiserver gives a projected token
// (pod validation, core/v1 ServiceAccountTokenProjection.expirationSeconds).
const minTokenExpiration = 600

// Config is how IAM roles for service accounts are given to pods. The defaults are those of the
// Amazon EKS pod identity webhook, so that it can be replaced without touching any annotation.
type Config struct {
	// AnnotationPrefix stands before the slash in every annotation read. Default: eks.amazonaws.com.
	AnnotationPrefix string `json:"annotationPrefix,omitempty"`
	// Audience is the token's audience where the ServiceAccount names none. Default: sts.amazonaws.com.
	// Empty, but written, it is kube-apiserver's own audience.
	Audience *string `json:"audience,omitempty"`
	// MountPath is the folder the token is mounted in. Default:
	// /var/run/secrets/eks.amazonaws.com/serviceaccount.
	MountPath string `json:"mountPath,omitempty"`
	// TokenExpirationSeconds is the token's life where neither the pod nor its ServiceAccount says.
	// Default: 86400. Less than 600 is taken as 600.
	TokenExpirationSeconds *int64 `json:"tokenExpirationSeconds,omitempty"`
	// DefaultRegion is set in AWS_DEFAULT_REGION and AWS_REGION. Empty: neither is set.
	DefaultRegion string `json:"defaultRegion,omitempty"`
	// STSRegionalEndpoints sets AWS_STS_REGIONAL_ENDPOINTS=regional where the ServiceAccount does not
	// say. Default: false.
	STSRegionalEndpoints bool `json:"stsRegionalEndpoints,omitempty"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	if c.AnnotationPrefix == "" {
		c.AnnotationPrefix = "eks.amazonaws.com"
	}
	if c.Audience == nil {
		c.Audience = new("sts.amazonaws.com")
	}
	if c.MountPath == "" {
		c.MountPath = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
	}
	if c.TokenExpirationSeconds == nil {
		c.TokenExpirationSeconds = new(int64(86400))
	}
	c.TokenExpirationSeconds = new(max(*c.TokenExpirationSeconds, minTokenExpiration))
}

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if problems := validation.IsDNS1123Subdomain(c.AnnotationPrefix); len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("annotationPrefix"), c.AnnotationPrefix,
			"write the domain before the annotations' slash, such as eks.amazonaws.com: "+strings.Join(problems, "; ")))
	}
	// ":" is refused by kube-apiserver in a mountPath, and would fail every pod.
	if !path.IsAbs(c.MountPath) || strings.Contains(c.MountPath, ":") {
		errs = append(errs, field.Invalid(at.Child("mountPath"), c.MountPath,
			"write an absolute path without a colon; it is converted for Windows pods"))
	}
	return errs
}
