package tokens

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// token is one that can be given.
type token struct {
	name, audience, path string
	env                  string // empty: no variable
	expiration           int64  // seconds
}

// maxPath is how long a token's path may be, in bytes. One name of a file may be as long, so that this
// keeps within both of kubelet's limits (pkg/volume/util, atomic_writer.go: 255 for a name, 4096 for all).
const maxPath = 255

// read returns the tokens that are asked for and that can be given. What is wrong with one of them would
// fail the pod, or leave it waiting for its volume for ever, with a message that names no annotation.
func (p *Profile) read(asked []request, out *profile.Answer) (tokens []token) {
	if most := int(p.cfg.MaxTokens); len(asked) > most {
		p.refuse(out, "the annotations under %s ask for %d tokens, and a pod may have %d", p.prefix, len(asked), most)
		asked = asked[:most]
	}
	for _, r := range asked {
		t, problem := p.token(r)
		if problem == "" {
			problem = p.clash(t, tokens)
		}
		if problem != "" {
			p.refuse(out, "%s", problem)
			continue
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// refuse reports that something cannot be given. A warning may lose its end, so that it begins with what
// came of it.
func (p *Profile) refuse(out *profile.Answer, format string, args ...any) {
	if p.cfg.InvalidValue != profile.Deny {
		format = "left out: " + format
	}
	out.Report(p.cfg.InvalidValue, format, args...)
}

// token reads one; or says what is wrong with it.
func (p *Profile) token(r request) (t token, problem string) {
	t = token{name: r.name, path: cmp.Or(r.name, "token"), expiration: *p.cfg.ExpirationSeconds}
	for _, part := range slices.Sorted(maps.Keys(r.values)) {
		if problem := p.set(&t, part, r.values[part].text); problem != "" {
			return t, fmt.Sprintf("%s of the %s %s", p.key(r.name, part), r.values[part].owner, problem)
		}
	}
	if t.audience == "" {
		return t, fmt.Sprintf("%s is missing, on the pod and its ServiceAccount: name the token's relying party there", p.key(r.name, annotationAudience))
	}
	return t, ""
}

// set sets what an annotation says of a token; or says what is wrong, in words that follow the
// annotation's key.
func (p *Profile) set(t *token, part, text string) (problem string) {
	if t.name != "" && len(validation.IsDNS1123Label(t.name)) > 0 {
		return fmt.Sprintf("names a token %.40q, which is no DNS label: write a-z, 0-9 and dashes", t.name)
	}
	switch part {
	case annotationAudience:
		t.audience = text
		return p.badAudience(text)
	case annotationExpiration:
		seconds, err := strconv.ParseUint(text, 10, 63)
		if t.expiration = int64(seconds); err != nil || t.expiration < profile.MinExpiration || t.expiration > p.cfg.longest() {
			return fmt.Sprintf("is %.40q: write a whole number of seconds from %d to %d", text, profile.MinExpiration, p.cfg.longest())
		}
	case annotationPath:
		t.path = text
		return badPath(text)
	case annotationEnv:
		// The strict rule, and not the relaxed one of newer versions, so that it suits all of them.
		if t.env = text; len(validation.IsEnvVarName(text)) > 0 {
			return fmt.Sprintf("is %.40q, which cannot name a variable: write letters, digits, _, - and ., no digit first", text)
		}
	default:
		known := []string{annotationAudience, annotationExpiration, annotationPath, annotationEnv}
		if t.name == "" {
			known = append(known, annotationSkip)
		}
		return fmt.Sprintf("is not known: after %s may come %s", p.key(t.name, ""), strings.Join(known, ", "))
	}
	return ""
}

func (p *Profile) badAudience(text string) (problem string) {
	switch {
	case text == "":
		return "is empty, and such a token would be for kube-apiserver: name the token's relying party"
	case !p.cfg.allows(text):
		return fmt.Sprintf("is %.80q, which is not allowed: write one of %s", text, strings.Join(p.cfg.AllowedAudiences, ", "))
	}
	return ""
}

// badPath is stricter than kube-apiserver where kubelet is, or Windows, or the variable with the path:
// "a//b" and "." are no files, a colon is no part of a name, and $(NAME) is replaced.
func badPath(text string) (problem string) {
	if fs.ValidPath(text) && text != "." && len(text) <= maxPath && !strings.HasPrefix(text, "..") &&
		!strings.ContainsAny(text, `\:$`) && !strings.ContainsFunc(text, unicode.IsControl) {
		return ""
	}
	return fmt.Sprintf(`is %.80q: write a relative path such as vault/token, at most %d bytes, that does not begin with .., without empty parts, . or .. among them, and without \ : $`, text, maxPath)
}

// clash says what t cannot share with the others.
func (p *Profile) clash(t token, others []token) (problem string) {
	for _, other := range others {
		if t.path == other.path || inside(t.path, other.path) || inside(other.path, t.path) {
			return fmt.Sprintf("%s and %s are %q and %q: each must be a file of its own",
				p.key(t.name, annotationPath), p.key(other.name, annotationPath), t.path, other.path)
		}
		if t.env != "" && t.env == other.env {
			return fmt.Sprintf("%s and %s are both %q: each token needs a variable of its own",
				p.key(t.name, annotationEnv), p.key(other.name, annotationEnv), t.env)
		}
	}
	return ""
}

// inside tells whether a path is below a folder.
func inside(path, folder string) bool { return strings.HasPrefix(path, folder+"/") }
