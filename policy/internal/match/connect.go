package match

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// bare is an object without metadata: what connects to something, such as PodExecOptions, has none. kube-apiserver,
// where it is of a Go type, matches it with no objectSelector but an empty one.
type bare struct {
	json.Marshaler // of the content
	schema.ObjectKind

	content map[string]any
}

var _ value.UnstructuredConverter = &bare{} // so that CEL is given the content

// DeepCopyObject is there for the interface; nobody asks.
func (b *bare) DeepCopyObject() runtime.Object {
	return bareOf(&unstructured.Unstructured{Object: runtime.DeepCopyJSON(b.content)})
}

// GetObjectKind returns the kind.
func (b *bare) GetObjectKind() schema.ObjectKind { return b.ObjectKind }

// ToUnstructured returns the content.
func (b *bare) ToUnstructured() any { return b.content }

func decodeBare(raw []byte) (runtime.Object, error) {
	var content map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &content); err != nil {
		return nil, err
	}
	return bareOf(&unstructured.Unstructured{Object: content}), nil
}

func bareOf(u *unstructured.Unstructured) *bare {
	return &bare{Marshaler: u, ObjectKind: u, content: u.Object}
}
