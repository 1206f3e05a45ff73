package identity

import (
	"path"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
)

// Config says which identities are given: those whose profile is there, even if it is empty ("aws: {}").
// What is injected comes in the order of the profiles.
type Config struct {
	// AWS is IAM roles for service accounts and EKS Pod Identities.
	AWS *aws.Config `json:"aws,omitempty"`
	// Azure is Microsoft Entra Workload ID.
	Azure *azure.Config `json:"azure,omitempty"`
	// Google is workload identity federation of GCP.
	Google *google.Config `json:"google,omitempty"`
	// Tokens is ServiceAccount tokens for any other relying party.
	Tokens *tokens.Config `json:"tokens,omitempty"`
}

// profileConfig is the configuration of a profile, under its name.
type profileConfig struct {
	name   string
	config interface {
		SetDefaults()
		Validate(at *field.Path) field.ErrorList
	}
}

// profiles are those that are there.
func (c *Config) profiles() (all []profileConfig) {
	if c.AWS != nil {
		all = append(all, profileConfig{"aws", c.AWS})
	}
	if c.Azure != nil {
		all = append(all, profileConfig{"azure", c.Azure})
	}
	if c.Google != nil {
		all = append(all, profileConfig{"google", c.Google})
	}
	if c.Tokens != nil {
		all = append(all, profileConfig{"tokens", c.Tokens})
	}
	return all
}

// Empty tells whether no identity is given.
func (c *Config) Empty() bool { return len(c.profiles()) == 0 }

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	for _, p := range c.profiles() {
		p.config.SetDefaults()
	}
}

// ResolvePaths replaces every path p by resolve(p).
func (c *Config) ResolvePaths(resolve func(p string) string) {
	if c.AWS != nil && c.AWS.ContainerCredentials != nil {
		c.AWS.ContainerCredentials.File = resolve(c.AWS.ContainerCredentials.File)
	}
}

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) (errs field.ErrorList) {
	for _, p := range c.profiles() {
		errs = append(errs, p.config.Validate(at.Child(p.name))...)
	}
	return append(errs, c.clashes(at)...)
}

// clashes says what profiles cannot share. Only what is configured can clash: the clouds' own names differ.
func (c *Config) clashes(at *field.Path) (errs field.ErrorList) {
	type setting struct{ profile, field, value string }
	var all []setting
	add := func(profile, field, value string) { all = append(all, setting{profile, field, value}) }
	if c.AWS != nil {
		add("aws", "annotationPrefix", c.AWS.AnnotationPrefix)
		add("aws", "mountPath", path.Clean(c.AWS.MountPath))
		add("aws", "volumeName", "aws-iam-token")
	}
	if c.Azure != nil {
		add("azure", "annotationPrefix", azure.AnnotationPrefix)
		add("azure", "volumeName", "azure-identity-token")
	}
	if c.Google != nil {
		add("google", "annotationPrefix", c.Google.AnnotationPrefix)
	}
	if c.Tokens != nil {
		add("tokens", "annotationPrefix", c.Tokens.AnnotationPrefix)
		add("tokens", "mountPath", path.Clean(c.Tokens.MountPath))
		add("tokens", "volumeName", c.Tokens.VolumeName)
	}
	for i, one := range all {
		for _, other := range all[:i] {
			if one.field == other.field && one.value == other.value {
				errs = append(errs, field.Invalid(at.Child(one.profile, one.field), one.value, "write another one; this is "+other.profile+"'s"))
			}
		}
	}
	return errs
}

// Files are the files beside the configuration that matter.
func (c *Config) Files() []string {
	if c.AWS != nil && c.AWS.ContainerCredentials != nil {
		return []string{c.AWS.ContainerCredentials.File}
	}
	return nil
}
