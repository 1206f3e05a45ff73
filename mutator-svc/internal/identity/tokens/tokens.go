// Package tokens gives pods projected ServiceAccount tokens for whoever trusts the cluster's issuer by
// OpenID Connect and has no profile of its own: Vault, or an API of the same company. Annotations on the
// ServiceAccount, on the pod, or on both ask for them:
//
//	identity.gatefold.dev/audience: https://orders.example.com    # one token needs no name
//	identity.gatefold.dev/vault.audience: vault                   # more than one have names
//	identity.gatefold.dev/vault.env: VAULT_TOKEN_FILE
//
// The pod's annotation wins over its ServiceAccount's one by one, so that a pod may ask for another life
// of a token whose audience its ServiceAccount names. No annotation takes a token back: an empty audience
// is refused rather than read as "none", since it is what a template with an unset value comes to, and
// the pod would run without its token. Who wants none names containers in skip-containers.
//
// All tokens of a pod are files in one volume.
package tokens

import (
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// Profile injects tokens. It is safe for concurrent use.
type Profile struct {
	cfg    Config
	prefix string // of annotations, with the slash
	skip   string // the whole key of annotationSkip
}

// New returns a Profile. cfg has its defaults and is valid.
func New(cfg Config) *Profile {
	prefix := cfg.AnnotationPrefix + "/"
	return &Profile{cfg, prefix, prefix + annotationSkip}
}

// Inject adds to out what gives the pod the tokens that it, or its ServiceAccount, asks for. Mirror pods
// have no ServiceAccount, and kube-apiserver refuses their tokens.
func (p *Profile) Inject(req *profile.Request, out *profile.Answer) error {
	if req.ServiceAccount == "" {
		return nil
	}
	own := req.Pod.AnnotationsUnder(p.prefix)
	account, found, err := req.Annotations(req.ServiceAccount)
	if err != nil {
		return err
	}
	if !found {
		p.reportMissing(req.ServiceAccount, own != nil, out)
	}
	profile.NoteMisplaced(out, p.cfg.InvalidValue, account, p.skip)
	tokens := p.read(p.requests(own, account), out)
	if len(tokens) == 0 || out.Denied() {
		return nil
	}
	if err := req.Pod.Open(); err != nil {
		return err
	}
	p.add(req.Pod, tokens, readSkip(own), out)
	return nil
}

// reportMissing reports that the pod's ServiceAccount does not exist. A pod that asks by itself is not
// without tokens for that, so that it is told what counts.
func (p *Profile) reportMissing(serviceAccount string, asks bool, out *profile.Answer) {
	if !asks || p.cfg.MissingServiceAccount == profile.Deny {
		out.Missing(p.cfg.MissingServiceAccount, serviceAccount, "tokens")
		return
	}
	out.Note(p.cfg.MissingServiceAccount, "ServiceAccount %.40q not found; only the pod's own annotations ask for tokens", serviceAccount)
}
