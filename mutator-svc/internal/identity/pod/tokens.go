package pod

import (
	"path"
	"slices"

	"github.com/go-json-experiment/json"
	corev1 "k8s.io/api/core/v1"
)

// Tokens returns the ServiceAccount tokens in the first volume of this name; none where it is no
// projected volume, or cannot be read as one.
func (p *Pod) Tokens(volume string) (tokens []corev1.ServiceAccountTokenProjection) {
	i := p.volumes.find(volume)
	if i < 0 {
		return nil
	}
	var parts struct {
		Projected struct {
			Sources []struct {
				ServiceAccountToken *corev1.ServiceAccountTokenProjection `json:"serviceAccountToken"`
			} `json:"sources"`
		} `json:"projected"`
	}
	if err := json.Unmarshal(p.volumes.items[i].raw, &parts, decoding); err != nil {
		return nil
	}
	for _, source := range parts.Projected.Sources {
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
	if err := json.Unmarshal(it.raw, &mount, decoding); err != nil {
		return ""
	}
	return mount.MountPath
}
