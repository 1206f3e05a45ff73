package pod

import (
	"path"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
)

// decode reads a part of the pod as kube-apiserver does; see scanner.
func decode(part jsontext.Value, into any) error {
	return json.Unmarshal(part, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// Tokens returns the ServiceAccount tokens in the first volume of this name; none where it is no
// projected volume, or cannot be read as one.
func (p *Pod) Tokens(volume string) []corev1.ServiceAccountTokenProjection {
	i := p.volumes.find(volume)
	if i < 0 {
		return nil
	}
	return p.volumes.items[i].tokens()
}

// HasTokenAt tells whether one of the pod's projected volumes, of whatever name, has a ServiceAccount token
// at this path in the volume.
func (p *Pod) HasTokenAt(path string) bool {
	return slices.ContainsFunc(p.volumes.items, func(volume item) bool {
		return slices.ContainsFunc(volume.tokens(), func(t corev1.ServiceAccountTokenProjection) bool { return t.Path == path })
	})
}

// tokens are those of a volume.
func (it item) tokens() (tokens []corev1.ServiceAccountTokenProjection) {
	var volume struct {
		Projected struct {
			Sources []struct {
				ServiceAccountToken *corev1.ServiceAccountTokenProjection `json:"serviceAccountToken"`
			} `json:"sources"`
		} `json:"projected"`
	}
	if err := decode(it.raw, &volume); err != nil {
		return nil
	}
	for _, source := range volume.Projected.Sources {
		if source.ServiceAccountToken != nil {
			tokens = append(tokens, *source.ServiceAccountToken)
		}
	}
	return tokens
}

// MountPath returns where the container mounts the volume of this name, first.
func (c *Container) MountPath(volume string) (at string, ok bool) {
	i := c.mounts.find(volume)
	if i < 0 {
		return "", false
	}
	return c.mounts.items[i].mountPath(), true
}

// MountedAt returns the name of the volume that the container mounts at this path, however it is spelled.
func (c *Container) MountedAt(mountPath string) (volume string, ok bool) {
	mountPath = path.Clean(mountPath)
	i := slices.IndexFunc(c.mounts.items, func(it item) bool { return path.Clean(it.mountPath()) == mountPath })
	if i < 0 {
		return "", false
	}
	return string(c.mounts.items[i].name), true
}

// Name is the container's name.
func (c *Container) Name() string { return string(c.name) }

// mountPath is where a mount is; empty where that cannot be read.
func (it item) mountPath() string {
	var mount struct {
		MountPath string `json:"mountPath"`
	}
	if err := decode(it.raw, &mount); err != nil {
		return ""
	}
	return mount.MountPath
}
