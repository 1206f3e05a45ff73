// Package aws gives pods IAM roles by web identity, "IAM roles for service accounts": the role named
// by an annotation of the pod's ServiceAccount reaches each container as environment variables and a
// mounted, projected ServiceAccount token, which the AWS SDKs trade for credentials.
//
// The rules are those of aws/amazon-eks-pod-identity-webhook, whose users they serve unchanged, down
// to its treatment of odd values. What differs: it puts whole containers in its patch and so drops
// fields that its Go types do not know (its issue 114), and it says nothing about odd values, where
// this package warns.
package aws

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/sdk"
)

const (
	volumeName = "aws-iam-token"
	tokenFile  = "token"

	envRegion        = "AWS_REGION"
	envDefaultRegion = "AWS_DEFAULT_REGION"
	envRole          = "AWS_ROLE_ARN"
	envTokenFile     = "AWS_WEB_IDENTITY_TOKEN_FILE"
	envSTS           = "AWS_STS_REGIONAL_ENDPOINTS"
)

// Provider injects roles. It is safe for concurrent use.
type Provider struct {
	cfg  Config
	keys annotationKeys
}

// New returns a Provider. cfg has its defaults and is valid.
func New(cfg Config) *Provider { return &Provider{cfg: cfg, keys: keysOf(cfg.AnnotationPrefix)} }

// Inject adds to patch what p needs to take the role of its ServiceAccount: nothing where that names
// none. It returns warnings for the user.
func (a *Provider) Inject(p *pod.Pod, sa *corev1.ServiceAccount, patch *sdk.Patch) (warnings []string) {
	role := sa.Annotations[a.keys.role]
	if role == "" {
		return nil
	}
	in := a.inputs(p, sa)
	if !p.HasVolume(volumeName) {
		// First of all volumes, as the reference puts it.
		p.PrependVolume(patch, tokenVolume(in))
	}
	env := a.variables(p, role, in)
	p.All(func(c *pod.Container) {
		if !in.skip[c.Name] {
			a.addTo(c, env, patch)
		}
	})
	return in.warnings
}

// group is variables that are set together, or not at all where the container already has one of them.
type group []corev1.EnvVar

func (g group) presentIn(c *pod.Container) bool {
	for _, v := range g {
		if c.HasEnv(v.Name) {
			return true
		}
	}
	return false
}

// variables is what a container gets.
type variables struct {
	sts, region, identity group
	regional, regionKnown bool // whether sts and region are wanted; if not, they only tell what is present
}

func (a *Provider) variables(p *pod.Pod, role string, in inputs) variables {
	// path.Join and not "+": the reference cleans the path of the file, but not that of the mount.
	file := path.Join(a.cfg.MountPath, tokenFile)
	if onWindows(p) {
		// Only programs in the container see this. The mount path stays in Unix style: kubelet on
		// Windows converts it.
		file = "C:" + strings.ReplaceAll(file, "/", `\`)
	}
	return variables{
		sts:         group{{Name: envSTS, Value: "regional"}},
		region:      group{{Name: envDefaultRegion, Value: a.cfg.DefaultRegion}, {Name: envRegion, Value: a.cfg.DefaultRegion}},
		identity:    group{{Name: envRole, Value: role}, {Name: envTokenFile, Value: file}},
		regional:    in.regionalSTS,
		regionKnown: a.cfg.DefaultRegion != "",
	}
}

// addTo adds to one container what it has not. Each part is looked at by itself, so that a second pass,
// or one over a container that somebody has half filled, ends in the same place.
func (a *Provider) addTo(c *pod.Container, env variables, patch *sdk.Patch) {
	sts, region, identity := env.sts.presentIn(c), env.region.presentIn(c), env.identity.presentIn(c)
	if sts && region && identity {
		// The container is configured by hand: it does not even get the mount.
		return
	}
	var add []corev1.EnvVar
	if !sts && env.regional {
		add = append(add, env.sts...)
	}
	if !region && env.regionKnown {
		add = append(add, env.region...)
	}
	if !identity {
		add = append(add, env.identity...)
	}
	c.AppendEnv(patch, add...)
	if !c.HasMount(volumeName) {
		c.AppendMount(patch, corev1.VolumeMount{Name: volumeName, ReadOnly: true, MountPath: a.cfg.MountPath})
	}
}

func tokenVolume(in inputs) corev1.Volume {
	return corev1.Volume{
		Name: volumeName,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience:          in.audience,
				ExpirationSeconds: &in.expiration,
				Path:              tokenFile,
			}}},
		}},
	}
}

// onWindows looks at the node selector only, as the reference does; spec.os and affinity do not count.
func onWindows(p *pod.Pod) bool {
	return p.Spec.NodeSelector["kubernetes.io/os"] == "windows" ||
		p.Spec.NodeSelector["beta.kubernetes.io/os"] == "windows"
}
