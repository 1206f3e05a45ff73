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
		tokenFileWindows: pod.Variable(variable, pod.WindowsPath(file)),
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
// EKS Pod Identities has one of those; then come the ServiceAccount's annotation, if it is not empty, and
// the ConfigMap, which is looked at where it decides and nowhere else: it may not be known yet.
func (p *Profile) find(req *profile.Request, out *profile.Answer) (*identity, error) {
	annotations, found, err := req.Annotations(req.ServiceAccount)
	if err != nil {
		return nil, err
	}
	listed := p.podIdentities[account{req.Namespace, req.ServiceAccount}]
	switch role := annotations[p.keys.role]; {
	case listed && found:
		return p.podIdentity(p.ofServiceAccount(annotations, out)), nil
	case role != "":
		audience, ok := annotations[p.keys.audience]
		if !ok {
			audience = *p.cfg.Audience
		}
		return p.webIdentity(p.role(role, serviceAccount, out), audience, p.ofServiceAccount(annotations, out)), nil
	}
	mapped, err := p.roles.find(req.Namespace, req.ServiceAccount)
	switch {
	case err != nil:
		return nil, err
	case listed:
		// Not the defaults of the configuration: the reference has them for web identities only.
		s := settings{expiration: defaultTokenExpiration}
		if mapped.forPodIdentity() {
			s = mapped.settings(p.cfg)
		}
		return p.podIdentity(s), nil
	case mapped != nil && mapped.RoleARN != "":
		return p.webIdentity(p.role(mapped.RoleARN, "roles' ConfigMap", out), mapped.Audience, mapped.settings(p.cfg)), nil
	case mapped != nil:
		p.noRole(mapped, req.ServiceAccount, out)
		if !found && p.cfg.MissingServiceAccount == profile.Deny { // otherwise one of the two is enough
			out.Missing(profile.Deny, req.ServiceAccount, "AWS identity")
		}
	case !found:
		out.Missing(p.cfg.MissingServiceAccount, req.ServiceAccount, "AWS identity")
	}
	return nil, nil
}

// noRole says that the entry of the ConfigMap that is for a ServiceAccount gives it no role, though others
// might. One that is there for the settings of an EKS Pod Identity is in order, and denies nobody.
func (p *Profile) noRole(m *mapping, name string, out *profile.Answer) {
	switch policy := p.cfg.InvalidValue; {
	case !m.unusable:
		out.Note(policy, "the roles' ConfigMap has ServiceAccount %.30q, but no role for it", name)
	case policy == profile.Deny:
		out.Report(policy, "the role of ServiceAccount %q in the roles' ConfigMap cannot be used", name)
	default:
		out.Note(policy, "the role of ServiceAccount %.30q in the roles' ConfigMap cannot be used; no role", name)
	}
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
