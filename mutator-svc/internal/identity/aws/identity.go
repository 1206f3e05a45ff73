package aws

import (
	"math/rand/v2"
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// identity is what a pod is given.
type identity struct {
	settings
	*kind

	first    pod.Element // the variable beside that of the token's file
	audience string
}

// kind is what identities of one kind have in common.
type kind struct {
	tokenFile        pod.Element // variable
	tokenFileWindows pod.Element // the same for pods on Windows
	mount            pod.Element
	volume           string // name of the token's volume
	tokenPath        string // in the volume
	podLabel         bool   // whether pods get labelPodIdentity
}

func newKind(volume, mountPath, tokenPath, variable string) *kind {
	// path.Join and not "+": the reference cleans the path of the file, but not that of the mount.
	file := path.Join(mountPath, tokenPath)
	return &kind{
		tokenFile:        pod.Variable(variable, file),
		tokenFileWindows: pod.Variable(variable, windowsPath(file)),
		mount:            pod.Mount(corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: mountPath}),
		volume:           volume, tokenPath: tokenPath,
	}
}

// credentials are the variables that lead SDKs to the credentials.
func (i *identity) credentials(p *pod.Pod) []pod.Element {
	if p.OnWindows() {
		return []pod.Element{i.first, i.tokenFileWindows}
	}
	return []pod.Element{i.first, i.tokenFile}
}

// find returns the identity of the pod's ServiceAccount; nil where it has none. Who is in the file of
// EKS Pod Identities has one of those; then come the ServiceAccount's annotation and the ConfigMap.
func (p *Profile) find(req *profile.Request, out *profile.Answer) (*identity, error) {
	annotations, found, err := req.Annotations(req.ServiceAccount)
	if err != nil {
		return nil, err
	}
	mapped, inMap := p.roles.find(req.Namespace, req.ServiceAccount)
	switch role := annotations[p.keys.role]; {
	case p.podIdentities[account{req.Namespace, req.ServiceAccount}]:
		// Not the defaults of the configuration: the reference has them for web identities only.
		s := settings{expiration: defaultTokenExpiration}
		if found {
			s = p.ofServiceAccount(annotations, out)
		} else if inMap && !mapped.pattern {
			s = mapped.settings(p.cfg)
		}
		return p.podIdentity(s), nil
	case role != "":
		audience, ok := annotations[p.keys.audience]
		if !ok {
			audience = *p.cfg.Audience
		}
		return p.webIdentity(p.role(role, serviceAccount, out), audience, p.ofServiceAccount(annotations, out)), nil
	case inMap:
		return p.webIdentity(p.role(mapped.RoleARN, "roles' ConfigMap", out), mapped.Audience, mapped.settings(p.cfg)), nil
	case !found:
		out.Missing(p.cfg.MissingServiceAccount, req.ServiceAccount)
	}
	return nil, nil
}

// webIdentity is an IAM role for a service account.
func (p *Profile) webIdentity(role, audience string, s settings) *identity {
	return &identity{s, p.web, pod.Variable("AWS_ROLE_ARN", role), audience}
}

// podIdentity is an EKS Pod Identity.
func (p *Profile) podIdentity(s settings) *identity {
	cc := p.cfg.ContainerCredentials
	return &identity{s, p.pod, pod.Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", cc.FullURI), cc.Audience}
}

// tokenVolume is the volume with the identity's token.
func (i *identity) tokenVolume() corev1.Volume {
	expiration := i.expiration
	if i.podLabel && expiration == defaultTokenExpiration {
		// Tokens are refreshed at four fifths of their life. Pods that start together would come back
		// together each day; the reference spreads them, EKS Pod Identities only.
		const least = 79200
		expiration = least + rand.Int64N(defaultTokenExpiration-least+1)
	}
	return corev1.Volume{
		Name: i.volume,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience:          i.audience,
				ExpirationSeconds: &expiration,
				Path:              i.tokenPath,
			}}},
		}},
	}
}
