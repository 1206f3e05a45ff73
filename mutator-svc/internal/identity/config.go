package identity

import (
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

// profileConfig is the configuration of a profile.
type profileConfig interface {
	SetDefaults()
	Validate(at *field.Path) field.ErrorList
}

// profiles are those that are there, by their names in the configuration.
func (c *Config) profiles() map[string]profileConfig {
	found := map[string]profileConfig{}
	if c.AWS != nil {
		found["aws"] = c.AWS
	}
	if c.Azure != nil {
		found["azure"] = c.Azure
	}
	if c.Google != nil {
		found["google"] = c.Google
	}
	if c.Tokens != nil {
		found["tokens"] = c.Tokens
	}
	return found
}

// Empty tells whether no identity is given.
func (c *Config) Empty() bool { return len(c.profiles()) == 0 }

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	for _, p := range c.profiles() {
		p.SetDefaults()
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
	for name, p := range c.profiles() {
		errs = append(errs, p.Validate(at.Child(name))...)
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
