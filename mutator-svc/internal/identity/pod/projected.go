package pod

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

// tokenVolume is what is read of a volume that may be a ServiceAccount token.
type tokenVolume struct {
	Projected struct {
		Sources []struct {
			ServiceAccountToken *struct {
				Path string `json:"path"`
			} `json:"serviceAccountToken"`
		} `json:"sources"`
	} `json:"projected"`
}

// HasTokenAt tells whether one of the pod's projected volumes, of whatever name, has a ServiceAccount
// token at this path in the volume.
func (p *Pod) HasTokenAt(path string) (bool, error) {
	for _, it := range p.volumes.items {
		var volume tokenVolume
		if err := json.Unmarshal(it.raw, &volume, decoding); err != nil {
			return false, fmt.Errorf("decoding the pod's volume %q: %w", it.name, err)
		}
		for _, source := range volume.Projected.Sources {
			if token := source.ServiceAccountToken; token != nil && token.Path == path {
				return true, nil
			}
		}
	}
	return false, nil
}
