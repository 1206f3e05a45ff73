package azure

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

const (
	// reservedName and a hash of the pod's name are the name of the volume. Two copies of one pod, such
	// as a virtual cluster makes of its guests', do not collide.
	reservedName = "azure-workload-identity-reserved-"
	// hashLength makes the name as long as a volume's may be, 63 bytes.
	hashLength = 63 - len(reservedName)
	// caPath is the CA certificate of the token endpoint in the volume.
	caPath = "ca-cert/ca.crt"
)

// layout is where things are.
type layout struct {
	name      string // of the volume; empty: it depends on the pod
	mountPath string
	tokenPath string // in the volume
	keep      bool   // whether a volume or mount that is there is kept, and not replaced
}

func layoutOf(version Layout) layout {
	if version == Layout15 {
		return layout{name: "azure-identity-token", mountPath: "/var/run/secrets/azure/tokens", tokenPath: "azure-identity-token", keep: true}
	}
	return layout{mountPath: "/var/run/secrets/azure/wi", tokenPath: "token/azure-identity-token"}
}

// file is the path of one of the volume's files in a container.
func (l layout) file(inVolume string) string { return path.Join(l.mountPath, inVolume) }

// volumeName is the name of the token's volume in this pod.
func (l layout) volumeName(of *pod.Pod) string {
	if l.name != "" {
		return l.name
	}
	name := of.Name()
	if name == "" {
		name = of.GenerateName() + " (prefix)"
	}
	hash := sha256.Sum256([]byte(name))
	return reservedName + hex.EncodeToString(hash[:])[:hashLength]
}

func (l layout) mount(volume string) pod.Element {
	return pod.Mount(corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: l.mountPath})
}

// usesEndpoint tells whether the pod is led to the token endpoint.
func (p *Profile) usesEndpoint(of *pod.Pod) bool {
	if p.cfg.TokenEndpoint == nil {
		return false
	}
	value, _ := of.Annotation(p.cfg.TokenEndpoint.annotation())
	return strings.EqualFold(value, "true")
}

// volume is the volume with the token and, for a pod that is led to the token endpoint, that one's CA.
func (p *Profile) volume(name string, expiration int64, redirected bool) corev1.Volume {
	token := &corev1.ServiceAccountTokenProjection{Audience: p.cfg.Audience, ExpirationSeconds: &expiration, Path: p.layout.tokenPath}
	sources := []corev1.VolumeProjection{{ServiceAccountToken: token}}
	if redirected {
		token.Audience = p.cfg.TokenEndpoint.Audience
		sources = append(sources, p.cfg.TokenEndpoint.ca()...)
	}
	return corev1.Volume{
		Name:         name,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}},
	}
}

// ca is what brings the CA certificate into the volume, if anything does.
func (e *TokenEndpoint) ca() []corev1.VolumeProjection {
	switch {
	case e.CAConfigMap != "":
		return []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: e.CAConfigMap},
			Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: caPath}},
			Optional:             new(false),
		}}}
	case e.CATrustBundle != nil:
		return []corev1.VolumeProjection{{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{
			SignerName:    &e.CATrustBundle.SignerName,
			LabelSelector: e.CATrustBundle.LabelSelector,
			Optional:      new(false),
			Path:          caPath,
		}}}
	}
	return nil
}
