// Package pod reads the few parts of a pod that decide about its identity, and changes the pod by
// operations on the JSON that came. Nothing is ever encoded again: a field that this package does not
// know, in a container or anywhere else, stays as it was.
package pod

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Pod is a narrow view of a core/v1 Pod. The methods that change it also keep the view up to date, so
// that a later provider sees what an earlier one added. It must not be used concurrently.
type Pod struct {
	// Metadata is the pod's metadata.
	Metadata Metadata `json:"metadata"`
	// Spec is the pod's spec.
	Spec Spec `json:"spec"`
}

// Metadata is what is read of metav1.ObjectMeta.
type Metadata struct {
	// Annotations may be nil.
	Annotations map[string]string `json:"annotations"`
}

// Spec is what is read of core/v1 PodSpec.
type Spec struct {
	// ServiceAccountName is empty for mirror pods.
	ServiceAccountName string `json:"serviceAccountName"`
	// NodeSelector may be nil.
	NodeSelector map[string]string `json:"nodeSelector"`
	// Volumes is nil where the pod has no list of volumes.
	Volumes []Named `json:"volumes"`
	// InitContainers include native sidecars.
	InitContainers Containers `json:"initContainers"`
	// Containers are the pod's main containers. Ephemeral containers are not read: they are added by a
	// subresource after the pod was created.
	Containers Containers `json:"containers"`
}

// Containers is a list of containers in which a JSON null is nil.
type Containers []*Container

// Container is what is read of core/v1 Container.
type Container struct {
	// Name is the container's name.
	Name string `json:"name"`
	// Env is nil where the container has no list of variables.
	Env []Named `json:"env"`
	// VolumeMounts is nil where the container has no list of mounts.
	VolumeMounts []Named `json:"volumeMounts"`

	pointer string // JSON pointer of the container in the pod
}

// Named is an element of which only the name matters.
type Named struct {
	// Name is the name of a volume, of a variable, or of the volume that a mount mounts.
	Name string `json:"name"`
}

// decoding reads as kube-apiserver does: case-sensitively (the library's default), with the last of
// two members of one name, and with invalid UTF-8, which reaches webhooks unchanged. Refusing such an
// object is not this service's business.
var decoding = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Decode reads a pod from its JSON.
func Decode(object []byte) (*Pod, error) {
	p := &Pod{}
	if err := json.Unmarshal(object, p, decoding); err != nil {
		return nil, fmt.Errorf("decoding the pod: %w", err)
	}
	p.Spec.InitContainers.locate("/spec/initContainers/")
	p.Spec.Containers.locate("/spec/containers/")
	return p, nil
}

// UnmarshalJSONFrom starts afresh, so that the last of two "spec" members wins as a whole, as it does
// for those who apply the patch; merged, the view could show containers that are not there.
func (s *Spec) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	type plain Spec
	*s = Spec{}
	return json.UnmarshalDecode(dec, (*plain)(s))
}
