package tokens

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// The annotations that are read, after the configured prefix and a slash; for a token with a name after
// that name, a DNS label, and a dot: vault.audience.
const (
	// On the pod, or else on the ServiceAccount: the token's audience, which is how its relying party
	// knows that it is meant. Each token needs one; an empty one is refused. NAME.audience for a token
	// with a name.
	annotationAudience = "audience"
	// On the pod, or else on the ServiceAccount: the token's life in seconds, 600 or more.
	// NAME.expirationSeconds for a token with a name.
	annotationExpiration = "expirationSeconds"
	// On the pod, or else on the ServiceAccount: the token's file, relative to the folder that the tokens
	// are mounted in. Absent: the token's name, or token. NAME.path for a token with a name.
	annotationPath = "path"
	// On the pod, or else on the ServiceAccount: the variable that gets the absolute path of the token's
	// file, in containers that do not set it by themselves. Absent: none does. NAME.env for a token with
	// a name.
	annotationEnv = "env"
	// On the pod: the containers, init containers included, that get no tokens, separated by commas.
	annotationSkip = "skip-containers"
)

// request is what annotations ask of one token.
type request struct {
	name   string           // empty: it has none
	values map[string]value // by what follows the name
}

// value is an annotation's.
type value struct{ text, owner string }

// requests returns what the annotations of a pod, whose keys are without the prefix, and those of its
// ServiceAccount ask for together, by name, the token without a name first. Most pods ask for nothing,
// and for them this allocates nothing.
func (p *Profile) requests(own, account map[string]string) []request {
	var byName map[string]request
	put := func(key string, v value) {
		if byName == nil {
			byName = map[string]request{}
		}
		name, part := split(key)
		if _, ok := byName[name]; !ok {
			byName[name] = request{name, map[string]value{}}
		}
		byName[name].values[part] = v
	}
	for key, text := range account {
		if key, ours := strings.CutPrefix(key, p.prefix); ours && key != annotationSkip {
			put(key, value{text, "ServiceAccount"})
		}
	}
	for key, text := range own {
		if key != annotationSkip {
			put(key, value{text, "pod"})
		}
	}
	if byName == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b request) int { return cmp.Compare(a.name, b.name) })
}

// readSkip returns the containers to leave alone.
func readSkip(own map[string]string) profile.Names {
	if own[annotationSkip] == "" {
		return profile.Names{}
	}
	return profile.SplitNames(own[annotationSkip], ",")
}

// split takes the key of an annotation apart into the token's name and the rest.
func split(key string) (name, part string) {
	if dot := strings.LastIndexByte(key, '.'); dot > 0 {
		return key[:dot], key[dot+1:]
	}
	return "", key
}

// key is the whole key of an annotation for the token of this name, for a message: kube-apiserver refuses one
// that is longer than this lets it be, but later.
func (p *Profile) key(name, part string) string {
	const longest = 63 // of what follows the slash
	if name != "" {
		part = name + "." + part
	}
	return p.prefix + part[:min(longest, len(part))]
}
