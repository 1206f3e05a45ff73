package aws

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// mapping is what an entry of the ConfigMap gives a ServiceAccount. An empty audience is kube-apiserver's
// own: what the configuration says is not asked, as in the reference. Without a RoleARN there is no role.
type mapping struct {
	RoleARN         string
	Audience        string
	UseRegionalSTS  bool
	TokenExpiration int64

	unusable bool // whether it stands for an entry that cannot be used; it is empty otherwise
	pattern  bool // whether it is for every ServiceAccount that matches, and not for one by name
}

// parseMapping reads the value of an entry, and says what keeps it from being used.
func parseMapping(value json.RawMessage, pattern bool) (*mapping, error) {
	var m *mapping
	if err := json.Unmarshal(value, &m); err != nil {
		return nil, errors.New(explain(err, nil))
	}
	switch {
	// Without a role the settings of one by its name still count for its EKS Pod Identity.
	case m == nil || m.RoleARN == "" && (pattern || !m.UseRegionalSTS && m.TokenExpiration == 0):
		return nil, errors.New("it has no RoleARN")
	case m.TokenExpiration < 0 || m.TokenExpiration > profile.MaxExpiration:
		return nil, fmt.Errorf("TokenExpiration is %d, want 0 to %d", m.TokenExpiration, int64(profile.MaxExpiration))
	}
	m.pattern = pattern
	return m, nil
}

func (m *mapping) settings(cfg Config) settings {
	s := settings{m.UseRegionalSTS, m.TokenExpiration}
	if s.expiration == 0 {
		s.expiration = *cfg.TokenExpirationSeconds
	}
	s.expiration = max(s.expiration, profile.MinExpiration)
	return s
}

// forPodIdentity tells whether EKS Pod Identities have the mapping's settings. Those of patterns do not
// count for them, as in the reference. m may be nil.
func (m *mapping) forPodIdentity() bool { return m != nil && !m.pattern && !m.unusable }

// pattern is a mapping whose namespace or name, or both, are for more than one.
type pattern struct {
	namespace, name string
	mapping         *mapping
}

// byParticularity puts the most particular pattern first.
func byParticularity(a, b pattern) int {
	return cmp.Or(comparePart(a.namespace, b.namespace), comparePart(a.name, b.name))
}

func comparePart(a, b string) int {
	switch {
	case literal(a) && !literal(b):
		return -1
	case literal(b) && !literal(a):
		return 1
	}
	return cmp.Compare(letters(b), letters(a))
}

// literal tells whether a part of a key is written out.
func literal(part string) bool { return !strings.ContainsAny(part, `*?[\`) }

// letters counts the characters of a good pattern that stand for themselves.
func letters(part string) (n int) {
	class := false
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '\\': // the next one is no special character
			i++
			if !class {
				n++
			}
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c != '*' && c != '?':
			n++
		}
	}
	return n
}
