package tokens

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

const (
	defaultExpiration = 3600 // kube-apiserver's own default, and that of TokenRequests
	// defaultMaxExpiration is a day: kubelet renews every token after 24 hours at the latest, whatever its
	// life (pkg/kubelet/token). A longer one serves nobody but whoever has stolen it.
	defaultMaxExpiration = 86400
	// defaultMaxTokens is more than any pod has relying parties. Without a limit, the 256 KiB that a pod
	// may have of annotations would be thousands of variables in each of its containers.
	defaultMaxTokens = 16
)

// Config is how tokens are given to pods for relying parties that have no profile of their own.
type Config struct {
	// AnnotationPrefix stands before the slash in every annotation read. No other annotation may have it.
	// Default: identity.gatefold.dev.
	AnnotationPrefix string `json:"annotationPrefix,omitempty"`
	// MountPath is the folder the tokens are mounted in. Default: /var/run/secrets/identity.gatefold.dev.
	MountPath string `json:"mountPath,omitempty"`
	// VolumeName is the name of the tokens' volume. Default: gatefold-tokens.
	VolumeName string `json:"volumeName,omitempty"`
	// ExpirationSeconds is the life of a token that asks for none. Default: 3600.
	ExpirationSeconds *int64 `json:"expirationSeconds,omitempty"`
	// MaxExpirationSeconds is the longest life that may be asked for. 0: kube-apiserver's own limit, 2^32.
	// Default: 86400, since kubelet renews a token after a day whatever its life.
	MaxExpirationSeconds *int64 `json:"maxExpirationSeconds,omitempty"`
	// AllowedAudiences are the audiences that may be asked for; with a star at its end, an entry stands
	// for all that begin so. Empty: any. A pod may still bring a volume with a token of its own, which is
	// a policy's business.
	AllowedAudiences []string `json:"allowedAudiences,omitempty"`
	// MaxTokens is how many tokens a pod may have. 0 is the default: 16.
	MaxTokens int32 `json:"maxTokens,omitempty"`
	// Policies are by default Warn for a missing ServiceAccount, without which the pod's own annotations
	// still count, and Deny for what is invalid. With Warn and Allow an invalid token is left out, and
	// the pod's others are given.
	profile.Policies `json:",inline"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	profile.SetDefault(&c.AnnotationPrefix, "identity.gatefold.dev")
	profile.SetDefault(&c.MountPath, "/var/run/secrets/identity.gatefold.dev")
	profile.SetDefault(&c.VolumeName, "gatefold-tokens")
	profile.SetDefault(&c.MaxTokens, defaultMaxTokens)
	if c.ExpirationSeconds == nil {
		c.ExpirationSeconds = new(int64(defaultExpiration))
	}
	if c.MaxExpirationSeconds == nil {
		c.MaxExpirationSeconds = new(int64(defaultMaxExpiration))
	}
	c.Policies.SetDefaults(profile.Warn, profile.Deny)
}

// longest is the longest life that may be asked for, in seconds.
func (c *Config) longest() int64 {
	if *c.MaxExpirationSeconds == 0 {
		return profile.MaxExpiration
	}
	return *c.MaxExpirationSeconds
}

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) (errs field.ErrorList) {
	errs = append(errs, profile.CheckPrefix(c.AnnotationPrefix, at.Child("annotationPrefix"))...)
	errs = append(errs, profile.CheckMountPath(c.MountPath, at.Child("mountPath"))...)
	if problems := validation.IsDNS1123Label(c.VolumeName); len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("volumeName"), c.VolumeName, strings.Join(problems, "; ")))
	}
	if longest := *c.MaxExpirationSeconds; longest != 0 && (longest < profile.MinExpiration || longest > profile.MaxExpiration) {
		errs = append(errs, field.Invalid(at.Child("maxExpirationSeconds"), longest,
			fmt.Sprintf("write a number from %d to %d, or 0", profile.MinExpiration, profile.MaxExpiration)))
	} else if seconds := *c.ExpirationSeconds; seconds < profile.MinExpiration || seconds > c.longest() {
		errs = append(errs, field.Invalid(at.Child("expirationSeconds"), seconds,
			fmt.Sprintf("write a number from %d to %d, which is the longest life that may be asked for", profile.MinExpiration, c.longest())))
	}
	for i, audience := range c.AllowedAudiences {
		if audience == "" || strings.Contains(strings.TrimSuffix(audience, "*"), "*") {
			errs = append(errs, field.Invalid(at.Child("allowedAudiences").Index(i), audience,
				"write an audience, or how those that are allowed begin with one star at the end"))
		}
	}
	if c.MaxTokens < 1 {
		errs = append(errs, field.Invalid(at.Child("maxTokens"), c.MaxTokens, "write a number of 1 or more"))
	}
	return append(errs, c.Policies.Validate(at)...)
}

// allows tells whether a token may have this audience.
func (c *Config) allows(audience string) bool {
	return len(c.AllowedAudiences) == 0 || slices.ContainsFunc(c.AllowedAudiences, func(allowed string) bool {
		begin, prefix := strings.CutSuffix(allowed, "*")
		return allowed == audience || prefix && strings.HasPrefix(audience, begin)
	})
}
