package google

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

const (
	// minTokenExpiration is the shortest life, in seconds, that the reference gives a token.
	minTokenExpiration = 3600
	// defaultTokenExpiration is the life of a token that nobody has asked for, in seconds.
	defaultTokenExpiration = 86400
)

// Mode is how credentials come to a pod's containers.
type Mode string

// The modes.
const (
	// Gcloud has an init container log in with the Google Cloud CLI; containers share what it leaves.
	Gcloud Mode = "gcloud"
	// Direct writes the configuration of the credentials to the pod, and needs no init container.
	Direct Mode = "direct"
)

// FileMode is a file's mode in octal digits, such as "0440".
type FileMode string

// UnmarshalJSON also takes the number that YAML makes of octal digits without quotes, unless it could be meant
// as octal digits itself.
func (m *FileMode) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' || string(data) == "null" {
		return json.Unmarshal(data, (*string)(m))
	}
	if number, err := strconv.ParseUint(string(data), 10, 31); err == nil && !fileMode.Match(data) {
		*m = FileMode(fmt.Sprintf("%04o", number))
	} else {
		*m = FileMode(data) + " without quotes" // for Validate to refuse
	}
	return nil
}

// Config is how Google Cloud identities are given to pods. The defaults are those of the
// gcp-workload-identity-federation-webhook of pfnet-research at the version that this profile follows.
type Config struct {
	// AnnotationPrefix stands before the slash in every annotation read and written. Default:
	// cloud.google.com.
	AnnotationPrefix string `json:"annotationPrefix,omitempty"`
	// Audience is the token's audience where the ServiceAccount names none. Default: sts.googleapis.com.
	// Empty, but written, it is kube-apiserver's own audience.
	Audience *string `json:"audience,omitempty"`
	// TokenExpirationSeconds is the token's life where neither the pod nor its ServiceAccount says.
	// Default: 86400. Less than 3600 is taken as 3600.
	TokenExpirationSeconds *int64 `json:"tokenExpirationSeconds,omitempty"`
	// DefaultMode is the mode of pods whose ServiceAccount names none: gcloud has an init container log
	// in with the Google Cloud CLI, direct needs none. Default: gcloud. Newer versions of the
	// gcp-workload-identity-federation-webhook have direct for a default.
	DefaultMode Mode `json:"defaultMode,omitempty"`
	// DefaultRegion is set in CLOUDSDK_COMPUTE_REGION, even if it is empty.
	DefaultRegion string `json:"defaultRegion,omitempty"`
	// GcloudImage is the image of the init container, with gcloud and sh. Default:
	// gcr.io/google.com/cloudsdktool/google-cloud-cli:stable.
	GcloudImage string `json:"gcloudImage,omitempty"`
	// TokenFileMode is the mode of the files with the token and the configuration of the credentials,
	// in octal digits. Default: "0440". With "0444" also who is on the node can read them.
	TokenFileMode FileMode `json:"tokenFileMode,omitempty"`
	// SetupResources are the resources of the init container. Absent: it has none of its own.
	SetupResources *corev1.ResourceRequirements `json:"setupResources,omitempty"`
	// Policies are by default Warn for a missing ServiceAccount and Deny for values. With Allow and
	// Warn a pod gets no identity where the ServiceAccount's provider cannot be used, or where it has
	// only one of provider and email; any other value that cannot be read counts as absent.
	profile.Policies `json:",inline"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	profile.SetDefault(&c.AnnotationPrefix, "cloud.google.com")
	if c.Audience == nil {
		c.Audience = new("sts.googleapis.com")
	}
	if c.TokenExpirationSeconds == nil {
		c.TokenExpirationSeconds = new(int64(defaultTokenExpiration))
	}
	c.TokenExpirationSeconds = new(max(*c.TokenExpirationSeconds, minTokenExpiration))
	profile.SetDefault(&c.DefaultMode, Gcloud)
	profile.SetDefault(&c.GcloudImage, "gcr.io/google.com/cloudsdktool/google-cloud-cli:stable")
	profile.SetDefault(&c.TokenFileMode, "0440")
	c.Policies.SetDefaults(profile.Warn, profile.Deny)
}

// fileMode is what kube-apiserver accepts for one.
var fileMode = regexp.MustCompile(`^0?[0-7]{3}$`)

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	errs = append(errs, profile.CheckPrefix(c.AnnotationPrefix, at.Child("annotationPrefix"))...)
	errs = append(errs, profile.CheckExpiration(*c.TokenExpirationSeconds, at.Child("tokenExpirationSeconds"))...)
	if !c.DefaultMode.known() {
		errs = append(errs, field.NotSupported(at.Child("defaultMode"), c.DefaultMode, []Mode{Gcloud, Direct}))
	}
	errs = append(errs, profile.CheckImage(c.GcloudImage, at.Child("gcloudImage"))...)
	if !fileMode.MatchString(string(c.TokenFileMode)) {
		errs = append(errs, field.Invalid(at.Child("tokenFileMode"), c.TokenFileMode,
			`write a file's mode in octal digits and in quotes, such as "0440"`))
	}
	if c.SetupResources != nil {
		errs = append(errs, validResources(c.SetupResources, at.Child("setupResources"))...)
	}
	return append(errs, c.Policies.Validate(at)...)
}

// validResources refuses what would fail every pod.
func validResources(r *corev1.ResourceRequirements, at *field.Path) (errs field.ErrorList) {
	for _, part := range []struct {
		name string
		list corev1.ResourceList
	}{{"limits", r.Limits}, {"requests", r.Requests}} {
		for _, name := range slices.Sorted(maps.Keys(part.list)) {
			if quantity := part.list[name]; quantity.Sign() < 0 {
				errs = append(errs, field.Invalid(at.Child(part.name, string(name)), quantity.String(), "write a quantity of 0 or more"))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		quantity := r.Requests[name]
		if limit, ok := r.Limits[name]; ok && quantity.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(at.Child("requests", string(name)), quantity.String(), "write at most the limit, "+limit.String()))
		}
	}
	if len(r.Claims) > 0 {
		errs = append(errs, field.Forbidden(at.Child("claims"), "leave them out; pods do not have the claims that they would name"))
	}
	return errs
}

// known tells whether there is such a mode.
func (m Mode) known() bool { return m == Gcloud || m == Direct }
