package sdktest

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// PodRequest returns the CREATE of a pod, given as YAML or JSON. Name and namespace are the object's own;
// without a namespace it is "default". The caller may change the result.
func PodRequest(tb testing.TB, object string) *admissionv1.AdmissionRequest {
	tb.Helper()
	return CreateRequest(tb, "pods", object)
}

// CreateRequest returns the CREATE of any namespaced object, given as YAML or JSON; resource is its lower-case plural.
// JSON travels as it stands, YAML as the JSON it means.
func CreateRequest(tb testing.TB, resource, object string) *admissionv1.AdmissionRequest {
	tb.Helper()
	raw, err := yaml.YAMLToJSON([]byte(object))
	if err != nil {
		tb.Fatalf("object of the request: %v", err)
	}
	var meta metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(raw, &meta); err != nil {
		tb.Fatalf("object of the request: %v", err)
	}
	if len(object) > 0 && object[0] == '{' {
		raw = []byte(object)
	}
	namespace := meta.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	gvk := meta.GroupVersionKind()
	kind := &admissionv1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	gvr := &admissionv1.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: resource}
	return &admissionv1.AdmissionRequest{
		Uid:             "11111111-2222-3333-4444-555555555555",
		Kind:            kind,
		Resource:        gvr,
		RequestKind:     kind,
		RequestResource: gvr,
		Name:            meta.Name,
		Namespace:       namespace,
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		UserInfo:        &admissionv1.UserInfo{Username: "alice", Groups: []string{"system:authenticated"}},
		Object:          raw,
		Options:         []byte(`{"apiVersion":"meta.k8s.io/v1","kind":"CreateOptions"}`),
		NamespaceObject: &admissionv1.Namespace{
			Name:   namespace,
			Labels: map[string]string{"kubernetes.io/metadata.name": namespace},
		},
	}
}
