// Package aws gives pods AWS identities, by a mounted, projected ServiceAccount token that the AWS SDKs
// trade for credentials, and environment variables that lead them to it: "IAM roles for service
// accounts" for ServiceAccounts that name a role, and EKS Pod Identities for those on a list.
//
// The rules are those of aws/amazon-eks-pod-identity-webhook, whose users they serve unchanged, down
// to its treatment of odd values. What differs: it puts whole containers in its patch and so drops
// fields that its Go types do not know (its issue 114), and it says nothing about odd values, where
// this package warns.
//
// A ServiceAccount has the first of these that there is: an EKS Pod Identity, if it is on their list; the
// role of its annotation role-arn, unless that is empty; what the ConfigMap says (see Roles), which is not
// asked before. With the role come the audience, the token's life and the endpoints of STS from the same
// place. A pod's own annotation has the last word about the token's life.
package aws

import (
	"errors"
	"log/slog"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// Profile injects AWS identities. It is safe for concurrent use.
type Profile struct {
	cfg           Config
	keys          keys
	roles         *Roles
	podIdentities map[account]bool
	web, pod      *kind
	sts, region   []pod.Element // region is for telling what is present where none is configured
}

// New returns a Profile. cfg has its defaults and is valid. The list of EKS Pod Identities is read here,
// which logger is told; an error that wraps config.ErrUnusable means that it is there and cannot be used.
// roles are used where cfg names a ConfigMap, and must be there then. Nil: there are none.
func New(cfg Config, roles *Roles, logger *slog.Logger) (*Profile, error) {
	p := &Profile{
		cfg:  cfg,
		keys: keysUnder(cfg.AnnotationPrefix),
		web:  newKind("aws-iam-token", cfg.MountPath, "token", "AWS_WEB_IDENTITY_TOKEN_FILE"),
		sts:  []pod.Element{pod.Variable("AWS_STS_REGIONAL_ENDPOINTS", "regional")},
		region: []pod.Element{
			pod.Variable("AWS_DEFAULT_REGION", cfg.DefaultRegion),
			pod.Variable("AWS_REGION", cfg.DefaultRegion),
		},
	}
	if cfg.RoleConfigMap != nil {
		if roles == nil {
			return nil, errors.New("identity.aws.roleConfigMap: nothing reads the ConfigMap")
		}
		p.roles = roles
	}
	if cc := cfg.ContainerCredentials; cc != nil {
		p.pod = newKind(cc.VolumeName, cc.MountPath, cc.TokenPath, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
		p.pod.podLabel = true
		var err error
		if p.podIdentities, err = readPodIdentities(cc.File, logger); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Inject adds to out what the pod needs to take on the identity of its ServiceAccount: nothing where it
// has none.
func (p *Profile) Inject(req *profile.Request, out *profile.Answer) error {
	if _, skip := req.Pod.Label(labelSkip); skip || req.ServiceAccount == "" {
		return nil
	}
	id, err := p.find(req, out)
	if err != nil || id == nil {
		return err
	}
	if err := req.Pod.Open(); err != nil {
		return err
	}
	if text, ok := req.Pod.Annotation(p.keys.expiration); ok {
		p.readExpiration(&id.settings, "pod", text, out)
	}
	p.add(req.Pod, id, p.readSkip(req.Pod, out), out)
	return nil
}

// add changes the pod.
func (p *Profile) add(to *pod.Pod, id *identity, skip profile.Names, out *profile.Answer) {
	if id.podLabel {
		to.SetLabel(&out.Patch, labelPodIdentity, "enabled")
	}
	if !to.HasVolume(id.volume) {
		// First of all volumes, as the reference puts it.
		to.PrependVolume(&out.Patch, pod.Volume(id.tokenVolume()))
	}
	out.Later(func() {
		skip.NoteUnknown(out, p.cfg.InvalidValue, annotationSkip, to)
		credentials := id.credentials(to)
		for c := range to.All() {
			if !skip.Has(c) {
				p.addTo(c, id, credentials, out)
			}
		}
	})
}

// addTo adds to one container what it has not. Variables that belong together are set together, or not at
// all where the container has one of them. Each part is looked at by itself, so that a second pass, or one
// over a container that somebody has half filled, ends in the same place.
func (p *Profile) addTo(c *pod.Container, id *identity, credentials []pod.Element, out *profile.Answer) {
	sts, region, known := c.HasAnyEnv(p.sts...), c.HasAnyEnv(p.region...), c.HasAnyEnv(credentials...)
	if sts && region && known {
		// The container is configured by hand: it does not even get the mount.
		return
	}
	add := make([]pod.Element, 0, 5)
	if !sts && id.regionalSTS {
		add = append(add, p.sts...)
	}
	if !region && p.cfg.DefaultRegion != "" {
		add = append(add, p.region...)
	}
	if !known {
		add = append(add, credentials...)
	}
	c.AppendEnv(&out.Patch, add...)
	if !c.HasMount(id.volume) {
		c.AppendMount(&out.Patch, id.mount)
	}
}
