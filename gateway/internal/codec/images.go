package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// V1alpha1 is the one version of ImageReview that there is.
const V1alpha1 = imageGroup + "/" + imageVersion

const (
	imageGroup    = "imagepolicy.k8s.io"
	imageVersion  = "v1alpha1"
	imageKind     = "ImageReview"
	imageResource = "imagereviews"
)

// An ImageReview as it is on the wire (k8s.io/api/imagepolicy/v1alpha1). The gate itself wants only the
// namespace; the rest is read so that no backend gets what is not shaped like the type.
type imageReview struct {
	Kind       string     `json:"kind"`
	APIVersion string     `json:"apiVersion"`
	Spec       *imageSpec `json:"spec"`
}

type imageSpec struct {
	Containers []struct {
		Image string `json:"image"`
	} `json:"containers"`
	Annotations map[string]string `json:"annotations"`
	Namespace   string            `json:"namespace"`
}

// The answer; kube-apiserver reads nothing but the status.
type imageAnswer struct {
	Kind       string      `json:"kind"`
	APIVersion string      `json:"apiVersion"`
	Status     imageStatus `json:"status"`
}

type imageStatus struct {
	Allowed          bool              `json:"allowed"`
	Reason           string            `json:"reason,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
}

// DecodeImageReview reads one ImageReview of the ImagePolicyWebhook plugin as the request to create it, to
// which it gives uid, for the plugin gives none. The request's object is the ImageReview, the bytes that came;
// there is no user, and no name. Unlike DecodeReview it admits no duplicate members: nothing in an ImageReview
// is raw, and the namespace that the gate looks up must be the one that backends read. The error says what is
// wrong with the review in words for the person who sent it.
func DecodeImageReview(data []byte, uid string) (*admissionv1.AdmissionRequest, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil, errors.New("the body is empty; an ImageReview as JSON is expected")
	}
	var in imageReview
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("the body is not an ImageReview: %s", describe(err))
	}
	switch {
	case in.Kind != imageKind:
		return nil, fmt.Errorf("kind is %s, expected %q", quote(in.Kind), imageKind)
	case in.APIVersion != V1alpha1:
		return nil, fmt.Errorf("apiVersion is %s, expected %q", quote(in.APIVersion), V1alpha1)
	case in.Spec == nil:
		return nil, errors.New("the ImageReview has no spec")
	}
	gvk := &admissionv1.GroupVersionKind{Group: imageGroup, Version: imageVersion, Kind: imageKind}
	gvr := &admissionv1.GroupVersionResource{Group: imageGroup, Version: imageVersion, Resource: imageResource}
	return &admissionv1.AdmissionRequest{
		Uid:             uid,
		Kind:            gvk,
		Resource:        gvr,
		RequestKind:     gvk,
		RequestResource: gvr,
		Namespace:       in.Spec.Namespace,
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		Object:          data,
	}, nil
}

// EncodeImageReview writes the answer to an ImageReview. Its warnings are left out, for which an ImageReview
// has no place, and so are the code and the causes of a refusal.
func EncodeImageReview(r *gatewayv1.Review) ([]byte, error) {
	data, err := json.Marshal(imageAnswer{
		Kind:       imageKind,
		APIVersion: V1alpha1,
		Status: imageStatus{
			Allowed:          r.GetAllowed(),
			Reason:           r.GetStatus().GetMessage(),
			AuditAnnotations: r.GetAuditAnnotations(),
		},
	}, encodeOptions)
	if err != nil {
		return nil, fmt.Errorf("encoding the ImageReview: %w", err)
	}
	return data, nil
}
