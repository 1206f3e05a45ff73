package webhook

import (
	"encoding/json"
	"fmt"

	kadmissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// Encode returns the AdmissionReview (admission.k8s.io/v1) of a request.
func Encode(req *admissionv1.AdmissionRequest) ([]byte, error) {
	operations := map[admissionv1.Operation]kadmissionv1.Operation{
		admissionv1.Operation_OPERATION_CREATE:  kadmissionv1.Create,
		admissionv1.Operation_OPERATION_UPDATE:  kadmissionv1.Update,
		admissionv1.Operation_OPERATION_DELETE:  kadmissionv1.Delete,
		admissionv1.Operation_OPERATION_CONNECT: kadmissionv1.Connect,
	}
	review := kadmissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: kadmissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &kadmissionv1.AdmissionRequest{
			UID:                types.UID(req.GetUid()),
			Kind:               kind(req.GetKind()),
			Resource:           resource(req.GetResource()),
			SubResource:        req.GetSubResource(),
			RequestKind:        new(kind(req.GetRequestKind())),
			RequestResource:    new(resource(req.GetRequestResource())),
			RequestSubResource: req.GetRequestSubResource(),
			Name:               req.GetName(),
			Namespace:          req.GetNamespace(),
			Operation:          operations[req.GetOperation()],
			UserInfo:           authenticationv1.UserInfo{Username: req.GetUserInfo().GetUsername(), Groups: req.GetUserInfo().GetGroups()},
			Object:             runtime.RawExtension{Raw: req.GetObject()},
			OldObject:          runtime.RawExtension{Raw: req.GetOldObject()},
			Options:            runtime.RawExtension{Raw: req.GetOptions()},
			DryRun:             new(req.GetDryRun()),
		},
	}
	data, err := json.Marshal(review)
	if err != nil {
		return nil, fmt.Errorf("writing the AdmissionReview: %w", err)
	}
	return data, nil
}

func kind(k *admissionv1.GroupVersionKind) metav1.GroupVersionKind {
	return metav1.GroupVersionKind{Group: k.GetGroup(), Version: k.GetVersion(), Kind: k.GetKind()}
}

func resource(r *admissionv1.GroupVersionResource) metav1.GroupVersionResource {
	return metav1.GroupVersionResource{Group: r.GetGroup(), Version: r.GetVersion(), Resource: r.GetResource()}
}

// decode reads the gate's answer to the request with the given uid.
func decode(data []byte, uid string) (*gatewayv1.Review, error) {
	var review kadmissionv1.AdmissionReview
	if err := json.Unmarshal(data, &review); err != nil {
		return nil, fmt.Errorf("reading the gate's AdmissionReview: %w", err)
	}
	r := review.Response
	if r == nil || string(r.UID) != uid {
		return nil, fmt.Errorf("the gate's AdmissionReview does not answer request %s", uid)
	}
	out := &gatewayv1.Review{Uid: uid, Allowed: r.Allowed, Warnings: r.Warnings, AuditAnnotations: r.AuditAnnotations}
	if !r.Allowed {
		out.Status = statusOf(r.Result)
	}
	operations, err := operationsOf(r.Patch)
	out.Operations = operations
	return out, err
}

func statusOf(s *metav1.Status) *gatewayv1.Status {
	if s == nil {
		return &gatewayv1.Status{}
	}
	out := &gatewayv1.Status{Message: s.Message, Reason: string(s.Reason), Code: s.Code}
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			out.Causes = append(out.Causes, &admissionv1.Cause{Reason: string(c.Type), Message: c.Message, Field: c.Field})
		}
	}
	return out
}

func operationsOf(patch []byte) ([]*admissionv1.PatchOperation, error) {
	if len(patch) == 0 {
		return nil, nil
	}
	var operations []struct {
		Op    string          `json:"op"`
		From  string          `json:"from"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(patch, &operations); err != nil {
		return nil, fmt.Errorf("reading the gate's patch: %w", err)
	}
	kinds := map[string]admissionv1.PatchOp{
		"add": admissionv1.PatchOp_PATCH_OP_ADD, "remove": admissionv1.PatchOp_PATCH_OP_REMOVE,
		"replace": admissionv1.PatchOp_PATCH_OP_REPLACE, "move": admissionv1.PatchOp_PATCH_OP_MOVE,
		"copy": admissionv1.PatchOp_PATCH_OP_COPY, "test": admissionv1.PatchOp_PATCH_OP_TEST,
	}
	var out []*admissionv1.PatchOperation
	for _, o := range operations {
		if kinds[o.Op] == admissionv1.PatchOp_PATCH_OP_UNSPECIFIED {
			return nil, fmt.Errorf("reading the gate's patch: unknown operation %q", o.Op)
		}
		out = append(out, &admissionv1.PatchOperation{Op: kinds[o.Op], From: o.From, Path: o.Path, Value: o.Value})
	}
	return out, nil
}
