package validatorsvc

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/validator-svc/internal/quota"
	"github.com/gatefold/gatefold/validator-svc/internal/snapshot"
)

// DefaultAddress is where the service listens when its configuration does not say.
const DefaultAddress = "127.0.0.1:9444"

// The validators that the service knows.
const (
	// Policy evaluates ValidatingAdmissionPolicies.
	Policy = "policy"
	// Quota lets no more than so many objects of a kind into a namespace.
	Quota = "quota"
	// Snapshot sees to it that a CSI driver has one default VolumeSnapshotClass.
	Snapshot = "snapshot"
)

// Config is kind ValidatorConfig.
type Config struct {
	config.TypeMeta `json:",inline"`
	// Listen is where the gate reaches the service. Default: 127.0.0.1:9444.
	Listen config.Listen `json:"listen,omitempty"`
	// Admin is where health and metrics are served.
	Admin config.Admin `json:"admin,omitempty"`
	// Validators are the names of the validators to serve. Default: those that have a section.
	Validators []string `json:"validators,omitempty"`
	// Policy configures the validator of that name.
	Policy PolicyConfig `json:"policy,omitempty"`
	// Quota configures the validator of that name, which needs a cluster to know.
	Quota quota.Config `json:"quota,omitzero"`
	// Snapshot configures the validator of that name, which needs a cluster to know. An empty section is
	// enough: snapshot: {}.
	Snapshot *snapshot.Config `json:"snapshot,omitempty"`
}

// PolicyConfig configures the validator "policy".
type PolicyConfig struct {
	// Paths are files of ValidatingAdmissionPolicies, their bindings and params, or folders of which the
	// *.yaml, *.yml and *.json directly inside count. A relative path is seen from the folder of the configuration file.
	Paths []string `json:"paths,omitempty"`
}

// LoadConfig reads the ValidatorConfig of a file. The error lists everything that is wrong with it, each
// with its line.
func LoadConfig(path string) (*Config, error) {
	return config.Load[Config](path, config.ValidatorConfig)
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	if c.Listen.Address == "" {
		c.Listen.Address = DefaultAddress
	}
	if len(c.Validators) == 0 {
		c.Validators = c.configured()
	}
	c.Quota.SetDefaults()
}

// configured are the validators that have a section. Without any it is policy, which then says what it misses.
func (c *Config) configured() (names []string) {
	if len(c.Policy.Paths) > 0 {
		names = append(names, Policy)
	}
	if len(c.Quota.Rules) > 0 {
		names = append(names, Quota)
	}
	if c.Snapshot != nil {
		names = append(names, Snapshot)
	}
	if len(names) == 0 {
		return []string{Policy}
	}
	return names
}

// serves tells whether the validator of this name is among those to serve.
func (c *Config) serves(name string) bool { return slices.Contains(c.Validators, name) }

// Remembers tells whether what is answered depends on what was asked before: quota and snapshot count what they
// have allowed a moment ago.
func (c *Config) Remembers() bool { return c.serves(Quota) || c.serves(Snapshot) }

// ResolvePaths replaces every path p by resolve(p).
func (c *Config) ResolvePaths(resolve func(p string) string) {
	c.Listen.ResolvePaths(resolve)
	for i, p := range c.Policy.Paths {
		c.Policy.Paths[i] = resolve(p)
	}
}

// Validate says everything that is wrong with c. The policies themselves are looked at by Run.
func (c *Config) Validate() field.ErrorList {
	errs := c.Listen.Validate(field.NewPath("listen"))
	errs = append(errs, c.Admin.Validate(field.NewPath("admin"))...)
	validators := field.NewPath("validators")
	for i, name := range c.Validators {
		switch known := []string{Policy, Quota, Snapshot}; {
		case !slices.Contains(known, name):
			errs = append(errs, field.NotSupported(validators.Index(i), name, known))
		case slices.Contains(c.Validators[:i], name):
			errs = append(errs, field.Duplicate(validators.Index(i), name))
		case name == Quota && len(c.Quota.Rules) == 0:
			errs = append(errs, field.Required(field.NewPath("quota", "rules"), "write a rule, or take quota off the validators"))
		case name == Snapshot && c.Snapshot == nil:
			errs = append(errs, field.Required(field.NewPath("snapshot"), "write snapshot: {}, or take snapshot off the validators"))
		}
	}
	paths := field.NewPath("policy", "paths")
	if len(c.Policy.Paths) == 0 && c.serves(Policy) {
		errs = append(errs, field.Required(paths, "name the files or folders of the policies"))
	}
	for i, p := range c.Policy.Paths {
		if p == "" {
			errs = append(errs, field.Required(paths.Index(i), "name a file or a folder, or remove the item"))
		}
	}
	return append(errs, c.Quota.Validate(field.NewPath("quota"))...)
}
