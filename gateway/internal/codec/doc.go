// Package codec translates between the AdmissionReview JSON that kube-apiserver speaks and the gate's
// protobuf. Objects are never interpreted: the bytes of object, oldObject and options that came are the
// bytes that travel on.
//
// It follows k8s.io/api/admission/v1 and v1beta1, and the checks that kube-apiserver makes of an
// answer in k8s.io/apiserver/pkg/admission/plugin/webhook/request.
package codec
