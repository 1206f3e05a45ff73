// Package azure gives pods Microsoft Entra identities, by a mounted, projected ServiceAccount token that
// the Azure SDKs trade for an access token, and environment variables that lead them to it: "Microsoft
// Entra Workload ID". For software that only knows the metadata service of Azure's machines it adds a
// proxy.
//
// The rules are those of Azure/azure-workload-identity v1.6.0, whose users they serve unchanged, down to
// its treatment of odd values; with layout 1.5 volumes and mounts are those of v1.5.1. What differs: it
// takes the pod apart into its Go types and so drops fields that they do not know, it leaves the check of
// the label to its registration, and it says nothing about odd values, where this package warns.
package azure

import (
	"cmp"
	"sync/atomic"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// Profile injects Azure identities. It is safe for concurrent use.
type Profile struct {
	cfg    Config
	layout layout
	native atomic.Pointer[bool] // what the server's version allows; nil: not known yet

	tenant           pod.Element // of the ServiceAccounts that do not say
	token, authority pod.Element
	endpoint         []pod.Element // for pods that use the token endpoint
}

// New returns a Profile. cfg has its defaults and is valid.
func New(cfg Config) *Profile {
	p := &Profile{cfg: cfg, layout: layoutOf(cfg.Layout)}
	authority, _ := authorityHost(cfg.Environment) // valid: there is one
	p.tenant = pod.Variable("AZURE_TENANT_ID", cfg.TenantID)
	p.token = pod.Variable("AZURE_FEDERATED_TOKEN_FILE", p.layout.file(p.layout.tokenPath))
	p.authority = pod.Variable("AZURE_AUTHORITY_HOST", authority)
	if e := cfg.TokenEndpoint; e != nil {
		for _, v := range []struct{ name, value string }{
			{"AZURE_KUBERNETES_TOKEN_PROXY", e.URL},
			{"AZURE_KUBERNETES_SNI_NAME", e.SNIName},
			{"AZURE_KUBERNETES_CA_FILE", p.layout.file(caPath)},
			{"AZURE_KUBERNETES_CA_DATA", e.CAData},
		} {
			if v.value != "" {
				p.endpoint = append(p.endpoint, pod.Variable(v.name, v.value))
			}
		}
	}
	return p
}

// Inject adds to out what the pod needs to take on the identity of its ServiceAccount, if it asks for it.
func (p *Profile) Inject(req *profile.Request, out *profile.Answer) error {
	if use, _ := req.Pod.Label(labelUse); use != "true" {
		return nil
	}
	name := cmp.Or(req.ServiceAccount, "default")
	account, found, err := req.Annotations(name)
	if err != nil {
		return err
	}
	if !found {
		out.Missing(p.cfg.MissingServiceAccount, name, "Azure identity")
		return nil
	}
	in := p.read(req.Pod, account, out)
	if out.Denied() {
		return nil
	}
	if err := req.Pod.Open(); err != nil {
		return err
	}
	if in.proxy {
		if err := p.addProxy(req, in.proxyPort, out); err != nil {
			return err
		}
	}
	p.add(req.Pod, in, out)
	return nil
}

// add changes the pod, which has its proxy: that is a container like any other.
func (p *Profile) add(to *pod.Pod, in inputs, out *profile.Answer) {
	redirected := p.usesEndpoint(to)
	name := p.layout.volumeName(to)
	switch volume := pod.Volume(p.volume(name, in.expiration, redirected)); {
	case !p.layout.keep:
		to.SetVolume(&out.Patch, volume)
	case !to.HasTokenAt(p.layout.tokenPath):
		to.AppendVolume(&out.Patch, volume)
	}
	out.Later(func() {
		skip := readSkip(to)
		skip.NoteUnknown(out, p.cfg.InvalidValue, "skip-containers", to)
		vars, mount := p.variables(in, redirected), p.layout.mount(name)
		for c := range to.All() {
			if !skip.Has(c) {
				p.addTo(c, vars, name, mount, out)
			}
		}
	})
}

// addTo changes one container.
func (p *Profile) addTo(c *pod.Container, vars []pod.Element, volume string, mount pod.Element, out *profile.Answer) {
	c.AppendMissingEnv(&out.Patch, vars...)
	switch {
	case !p.layout.keep:
		c.SetMount(&out.Patch, mount)
	case !c.HasMount(volume):
		c.AppendMount(&out.Patch, mount)
	}
}

// variables are those of every container, in order. One without a value is none.
func (p *Profile) variables(in inputs, redirected bool) []pod.Element {
	const most = 8 // four of every pod, four of the token endpoint
	vars := make([]pod.Element, 0, most)
	if in.clientID != "" {
		vars = append(vars, pod.Variable("AZURE_CLIENT_ID", in.clientID))
	}
	switch {
	case !in.ownTenant:
		vars = append(vars, p.tenant)
	case in.tenantID != "":
		vars = append(vars, pod.Variable("AZURE_TENANT_ID", in.tenantID))
	}
	vars = append(vars, p.token, p.authority)
	if redirected {
		vars = append(vars, p.endpoint...)
	}
	return vars
}
