package identity

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
)

// Watched is what a program keeps of its cluster in memory for identity. That is decided when it starts, and
// a configuration that comes later has to do with it.
type Watched struct {
	prefixes []string // of the annotations that are kept, without the slash
	roles    *aws.RoleConfigMap
}

// Watched returns what c needs, and the annotations of every profile, so that one can be turned on later.
func (c *Config) Watched() Watched {
	var w Watched
	every := Config{AWS: &aws.Config{}, Azure: &azure.Config{}, Google: &google.Config{}, Tokens: &tokens.Config{}}
	every.SetDefaults()
	w.prefixes = append(w.prefixes, azure.AnnotationPrefix)
	for _, cfg := range []*Config{&every, c} {
		for _, p := range cfg.prefixes() {
			w.prefixes = append(w.prefixes, *p.prefix)
		}
	}
	if c.AWS != nil && c.AWS.RoleConfigMap != nil {
		w.roles = new(*c.AWS.RoleConfigMap)
	}
	return w
}

// configured is a prefix of annotations, where it is configured, and how its profile is turned off.
type configured struct {
	field  string
	prefix *string
	off    func()
}

func (c *Config) prefixes() (all []configured) {
	if c.AWS != nil {
		all = append(all, configured{"identity.aws.annotationPrefix", &c.AWS.AnnotationPrefix, func() { c.AWS = nil }})
	}
	if c.Google != nil {
		all = append(all, configured{"identity.google.annotationPrefix", &c.Google.AnnotationPrefix, func() { c.Google = nil }})
	}
	if c.Tokens != nil {
		all = append(all, configured{"identity.tokens.annotationPrefix", &c.Tokens.AnnotationPrefix, func() { c.Tokens = nil }})
	}
	return all
}

// Annotation tells by its key whether an annotation of a ServiceAccount is kept.
func (w Watched) Annotation(key string) bool {
	prefix, _, ok := strings.Cut(key, "/")
	return ok && slices.Contains(w.prefixes, prefix)
}

// ConfigMaps are those that are kept.
func (w Watched) ConfigMaps() []types.NamespacedName {
	if w.roles == nil {
		return nil
	}
	return []types.NamespacedName{{Namespace: w.roles.Namespace, Name: w.roles.Name}}
}

// Confine gives c, which was read while a program runs, what old had where c wants what is not watched; a
// profile that old did not have stays off. It returns the names of these fields.
func (c *Config) Confine(old *Config, watched Watched) (fields []string) {
	before := map[string]*string{}
	for _, p := range old.prefixes() {
		before[p.field] = p.prefix
	}
	for _, p := range c.prefixes() {
		if slices.Contains(watched.prefixes, *p.prefix) {
			continue
		}
		fields = append(fields, p.field)
		if was := before[p.field]; was != nil {
			*p.prefix = *was
		} else {
			p.off()
		}
	}
	if c.AWS == nil {
		return fields
	}
	if wants := c.AWS.RoleConfigMap; (wants == nil) != (watched.roles == nil) || wants != nil && *wants != *watched.roles {
		fields = append(fields, "identity.aws.roleConfigMap")
		c.AWS.RoleConfigMap = watched.roles
	}
	return fields
}
