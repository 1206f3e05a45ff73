package sdktest

import (
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// ReviewRequest turns a review that kube-apiserver has sent into the request that the gate would make of it, with ns, which
// may be nil, as its namespace.
func ReviewRequest(t testing.TB, r *reviewv1.AdmissionRequest, ns *admissionv1.Namespace) *sdk.Request {
	t.Helper()
	if r == nil {
		t.Fatal("there is no review")
	}
	extra := map[string]*admissionv1.ExtraValue{}
	for key, values := range r.UserInfo.Extra {
		extra[key] = &admissionv1.ExtraValue{Values: values}
	}
	q := &admissionv1.AdmissionRequest{
		Uid:                string(r.UID),
		Kind:               protoKind(&r.Kind),
		Resource:           protoResource(&r.Resource),
		SubResource:        r.SubResource,
		RequestKind:        protoKind(r.RequestKind),
		RequestResource:    protoResource(r.RequestResource),
		RequestSubResource: r.RequestSubResource,
		Name:               r.Name,
		Namespace:          r.Namespace,
		Operation:          admissionv1.Operation(admissionv1.Operation_value["OPERATION_"+string(r.Operation)]),
		UserInfo: &admissionv1.UserInfo{
			Username: r.UserInfo.Username, Uid: r.UserInfo.UID, Groups: r.UserInfo.Groups, Extra: extra,
		},
		Object:          withoutNull(r.Object.Raw),
		OldObject:       withoutNull(r.OldObject.Raw),
		Options:         withoutNull(r.Options.Raw),
		NamespaceObject: ns,
	}
	if r.DryRun != nil {
		q.DryRun = *r.DryRun
	}
	return &sdk.Request{AdmissionRequest: q}
}

func withoutNull(raw []byte) []byte {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

func protoKind(k *metav1.GroupVersionKind) *admissionv1.GroupVersionKind {
	if k == nil {
		return nil
	}
	return &admissionv1.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

func protoResource(r *metav1.GroupVersionResource) *admissionv1.GroupVersionResource {
	if r == nil {
		return nil
	}
	return &admissionv1.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource}
}
