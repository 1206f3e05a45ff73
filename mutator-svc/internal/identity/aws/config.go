package aws

import (
	"io/fs"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

const (
	// defaultTokenExpiration is the life of a token that nobody has asked for, in seconds.
	defaultTokenExpiration = 86400
	// defaultGracePeriod is what the reference's README suggests, and some: an informer lags by
	// milliseconds, and only a pod that would otherwise go without its identity waits at all.
	defaultGracePeriod = 250 * time.Millisecond
	// maxGracePeriod leaves something of the time that a gate gives its backends.
	maxGracePeriod = 5 * time.Second
)

// Config is how AWS identities are given to pods. The defaults are those of the Amazon EKS pod identity
// webhook, so that it can be replaced without touching any annotation.
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
	// ComposeRoleARN makes ARNs of role-arn annotations that are a role's name, with its path. Absent:
	// they must be ARNs.
	ComposeRoleARN *ComposeRoleARN `json:"composeRoleArn,omitempty"`
	// RoleConfigMap gives roles to ServiceAccounts that have no annotation. Absent: nothing is watched.
	RoleConfigMap *RoleConfigMap `json:"roleConfigMap,omitempty"`
	// ContainerCredentials gives pods EKS Pod Identities. Absent: there are none.
	ContainerCredentials *ContainerCredentials `json:"containerCredentials,omitempty"`
	// LookupGracePeriod is how long a pod waits for its ServiceAccount where kube-apiserver does not
	// know it yet. A ServiceAccount that kube-apiserver knows is found without this. Default: 250ms.
	LookupGracePeriod *metav1.Duration `json:"lookupGracePeriod,omitempty"`
	// Policies are by default Warn: an ARN that is none is injected as it is, any other value that
	// cannot be read counts as absent.
	profile.Policies `json:",inline"`
}

// ComposeRoleARN is what an ARN has beside the role's name.
type ComposeRoleARN struct {
	// Partition is that of the ARNs: aws, aws-cn, aws-us-gov or another. Default: aws.
	Partition string `json:"partition,omitempty"`
	// AccountID is the number of the account that has the roles: twelve digits.
	AccountID string `json:"accountID"`
}

// RoleConfigMap is the ConfigMap with roles for ServiceAccounts.
type RoleConfigMap struct {
	// Namespace is where it is. Default: eks.
	Namespace string `json:"namespace,omitempty"`
	// Name is its name. Default: pod-identity-webhook.
	Name string `json:"name,omitempty"`
}

// ContainerCredentials is how EKS Pod Identities are given to pods.
type ContainerCredentials struct {
	// File lists who has an EKS Pod Identity: {"identities": [{"namespace": …, "serviceAccount": …}]}.
	// It is read again when it changes; while there is none, nobody has.
	File string `json:"file"`
	// Audience is the token's audience. Default: pods.eks.amazonaws.com.
	Audience string `json:"audience,omitempty"`
	// MountPath is the folder the token is mounted in. Default:
	// /var/run/secrets/pods.eks.amazonaws.com/serviceaccount.
	MountPath string `json:"mountPath,omitempty"`
	// VolumeName is the name of the token's volume. Default: eks-pod-identity-token.
	VolumeName string `json:"volumeName,omitempty"`
	// TokenPath is the token's file in MountPath. Default: eks-pod-identity-token.
	TokenPath string `json:"tokenPath,omitempty"`
	// FullURI is where SDKs trade the token for credentials. Default:
	// http://169.254.170.23/v1/credentials.
	FullURI string `json:"fullURI,omitempty"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	profile.SetDefault(&c.AnnotationPrefix, "eks.amazonaws.com")
	if c.Audience == nil {
		c.Audience = new("sts.amazonaws.com")
	}
	profile.SetDefault(&c.MountPath, "/var/run/secrets/eks.amazonaws.com/serviceaccount")
	if c.TokenExpirationSeconds == nil {
		c.TokenExpirationSeconds = new(int64(defaultTokenExpiration))
	}
	c.TokenExpirationSeconds = new(max(*c.TokenExpirationSeconds, profile.MinExpiration))
	if c.ComposeRoleARN != nil {
		profile.SetDefault(&c.ComposeRoleARN.Partition, "aws")
	}
	if c.RoleConfigMap != nil {
		profile.SetDefault(&c.RoleConfigMap.Namespace, "eks")
		profile.SetDefault(&c.RoleConfigMap.Name, "pod-identity-webhook")
	}
	if cc := c.ContainerCredentials; cc != nil {
		profile.SetDefault(&cc.Audience, "pods.eks.amazonaws.com")
		profile.SetDefault(&cc.MountPath, "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount")
		profile.SetDefault(&cc.VolumeName, "eks-pod-identity-token")
		profile.SetDefault(&cc.TokenPath, "eks-pod-identity-token")
		profile.SetDefault(&cc.FullURI, "http://169.254.170.23/v1/credentials")
	}
	if c.LookupGracePeriod == nil {
		c.LookupGracePeriod = &metav1.Duration{Duration: defaultGracePeriod}
	}
	c.Policies.SetDefaults(profile.Warn, profile.Warn)
}

var (
	partition = regexp.MustCompile(`^aws[a-z0-9-]*$`)
	accountID = regexp.MustCompile(`^\d{12}$`)
)

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	errs = append(errs, profile.CheckPrefix(c.AnnotationPrefix, at.Child("annotationPrefix"))...)
	errs = append(errs, profile.CheckMountPath(c.MountPath, at.Child("mountPath"))...)
	errs = append(errs, profile.CheckExpiration(*c.TokenExpirationSeconds, at.Child("tokenExpirationSeconds"))...)
	if compose := c.ComposeRoleARN; compose != nil {
		at := at.Child("composeRoleArn")
		if !partition.MatchString(compose.Partition) {
			errs = append(errs, field.Invalid(at.Child("partition"), compose.Partition, "write aws, aws-cn, aws-us-gov or another partition"))
		}
		if !accountID.MatchString(compose.AccountID) {
			errs = append(errs, field.Invalid(at.Child("accountID"), compose.AccountID, "write the account's twelve digits, in quotes"))
		}
	}
	if m := c.RoleConfigMap; m != nil {
		for _, part := range []struct{ name, value string }{{"namespace", m.Namespace}, {"name", m.Name}} {
			if problems := validation.IsDNS1123Subdomain(part.value); len(problems) > 0 {
				errs = append(errs, field.Invalid(at.Child("roleConfigMap", part.name), part.value, strings.Join(problems, "; ")))
			}
		}
	}
	if c.ContainerCredentials != nil {
		errs = append(errs, c.ContainerCredentials.validate(at.Child("containerCredentials"))...)
	}
	if grace := c.LookupGracePeriod.Duration; grace < 0 || grace > maxGracePeriod {
		errs = append(errs, field.Invalid(at.Child("lookupGracePeriod"), grace.String(), "write a duration from 0s to "+maxGracePeriod.String()))
	}
	return append(errs, c.Policies.Validate(at)...)
}

func (c *ContainerCredentials) validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.File == "" {
		errs = append(errs, field.Required(at.Child("file"), "write the path of the file that lists the identities"))
	}
	errs = append(errs, profile.CheckMountPath(c.MountPath, at.Child("mountPath"))...)
	if problems := validation.IsDNS1123Label(c.VolumeName); len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("volumeName"), c.VolumeName, strings.Join(problems, "; ")))
	}
	if !fs.ValidPath(c.TokenPath) || c.TokenPath == "." || strings.HasPrefix(c.TokenPath, "..") || strings.ContainsAny(c.TokenPath, `\:$`) {
		errs = append(errs, field.Invalid(at.Child("tokenPath"), c.TokenPath, "write a path relative to mountPath, such as token, without .. and without \\ : $"))
	}
	return errs
}
