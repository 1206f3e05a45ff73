package mutatorsvc

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
)

// DefaultAddress is where the service listens when its configuration does not say.
const DefaultAddress = "127.0.0.1:9443"

// The mutators that the service knows.
const (
	// Identity gives pods the cloud identity of their ServiceAccount.
	Identity = "identity"
	// Labels stamps labels and annotations by rules.
	Labels = "labels"
	// Policy evaluates MutatingAdmissionPolicies.
	Policy = "policy"
)

// Config is kind MutatorConfig.
type Config struct {
	config.TypeMeta `json:",inline"`
	// Listen is where the gate reaches the service. Default: 127.0.0.1:9443.
	Listen config.Listen `json:"listen,omitzero"`
	// Admin is where health and metrics are served.
	Admin config.Admin `json:"admin,omitzero"`
	// Mutators are the names of the mutators to serve. Default: those that have a section.
	Mutators []string `json:"mutators,omitempty"`
	// Identity configures the mutator of that name.
	Identity identity.Config `json:"identity,omitzero"`
	// Labels configures the mutator of that name.
	Labels labels.Config `json:"labels,omitzero"`
	// Policy configures the mutator of that name.
	Policy PolicyConfig `json:"policy,omitzero"`
}

// PolicyConfig configures the mutator "policy".
type PolicyConfig struct {
	// Paths are files of MutatingAdmissionPolicies, their bindings and params, and CustomResourceDefinitions that
	// say how objects of their kinds are merged; or folders of which the *.yaml, *.yml and *.json directly inside count. A
	// relative path is seen from the folder of the configuration file. Params that are not among the files, whole
	// namespaces, what the authorizer says, and the schemas of other custom kinds come from the cluster that the
	// service is started with, if any: its service account then needs the rights to list, watch and get the params'
	// kinds and to create subjectaccessreviews.
	Paths []string `json:"paths,omitempty"`
}

// LoadConfig reads the MutatorConfig of a file. The error lists everything that is wrong with it, each
// with its line.
func LoadConfig(path string) (*Config, error) {
	return config.Load[Config](path, config.MutatorConfig)
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	if c.Listen.Address == "" {
		c.Listen.Address = DefaultAddress
	}
	if len(c.Mutators) == 0 {
		c.Mutators = c.configured()
	}
	c.Identity.SetDefaults()
	c.Labels.SetDefaults()
}

// ResolvePaths replaces every path p by resolve(p).
func (c *Config) ResolvePaths(resolve func(p string) string) {
	c.Listen.ResolvePaths(resolve)
	c.Identity.ResolvePaths(resolve)
	for i, p := range c.Policy.Paths {
		c.Policy.Paths[i] = resolve(p)
	}
}

// Validate says everything that is wrong with c, also with mutators that are not served: the same file
// may serve several processes, and a mistake should show in all of them.
func (c *Config) Validate() field.ErrorList {
	errs := c.Listen.Validate(field.NewPath("listen"))
	errs = append(errs, c.Admin.Validate(field.NewPath("admin"))...)
	mutators := field.NewPath("mutators")
	if len(c.Mutators) == 0 {
		errs = append(errs, field.Required(mutators, "give one of them a section: identity with a profile, such as aws: {}, labels with rules, or policy with paths"))
	}
	for i, name := range c.Mutators {
		switch known := []string{Identity, Labels, Policy}; {
		case !slices.Contains(known, name):
			errs = append(errs, field.NotSupported(mutators.Index(i), name, known))
		case slices.Contains(c.Mutators[:i], name):
			errs = append(errs, field.Duplicate(mutators.Index(i), name))
		case name == Identity && c.Identity.Empty():
			errs = append(errs, field.Required(field.NewPath("identity"), "name a profile, such as aws: {}, or take identity off the mutators"))
		case name == Policy && len(c.Policy.Paths) == 0:
			errs = append(errs, field.Required(field.NewPath("policy", "paths"), "name the files or folders of the policies, or take policy off the mutators"))
		}
	}
	for i, p := range c.Policy.Paths {
		if p == "" {
			errs = append(errs, field.Required(field.NewPath("policy", "paths").Index(i), "name a file or a folder, or remove the item"))
		}
	}
	errs = append(errs, c.Identity.Validate(field.NewPath("identity"))...)
	return append(errs, c.Labels.Validate(field.NewPath("labels"))...)
}

// configured are the mutators that have something to do.
func (c *Config) configured() (names []string) {
	if !c.Identity.Empty() {
		names = append(names, Identity)
	}
	if len(c.Labels.Rules) > 0 {
		names = append(names, Labels)
	}
	if len(c.Policy.Paths) > 0 {
		names = append(names, Policy)
	}
	return names
}

// files are those that matter to the mutators that are served, beside the configuration file.
func (c *Config) files(served ...string) (paths []string) {
	if slices.Contains(served, Identity) {
		paths = append(paths, c.Identity.Files()...)
	}
	if slices.Contains(served, Policy) {
		paths = append(paths, c.Policy.Paths...)
	}
	return paths
}

// serves tells whether the mutator of this name is among those to serve.
func (c *Config) serves(name string) bool { return slices.Contains(c.Mutators, name) }
