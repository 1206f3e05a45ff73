package sdk

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

func TestDecode(t *testing.T) {
	req := &Request{AdmissionRequest: &admissionv1.AdmissionRequest{
		Object:    []byte(`{"metadata":{"name":"new","Name":"twin"},"spec":{"SecurityContext":{"runAsUser":1}}}`),
		OldObject: []byte(`{"metadata":{"name":"old"}}`),
	}}
	var pod, old corev1.Pod
	if err := req.Decode(&pod); err != nil {
		t.Fatal(err)
	}
	if err := req.DecodeOld(&old); err != nil {
		t.Fatal(err)
	}
	if pod.Name != "new" || pod.Spec.SecurityContext != nil {
		t.Errorf("decoded %q, %v: keys must match in case", pod.Name, pod.Spec.SecurityContext)
	}
	if old.Name != "old" {
		t.Errorf("old object: %q", old.Name)
	}
}

func TestDecodeKeepsIntegers(t *testing.T) {
	req := &Request{AdmissionRequest: &admissionv1.AdmissionRequest{Object: []byte(`{"n":9007199254740993,"f":1.0}`)}}
	var m map[string]any
	if err := req.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m["n"] != int64(9007199254740993) || m["f"] != float64(1) {
		t.Errorf("decoded %T %v, %T %v", m["n"], m["n"], m["f"], m["f"])
	}
}

func TestDecodeErrors(t *testing.T) {
	req := &Request{AdmissionRequest: &admissionv1.AdmissionRequest{OldObject: []byte(`{"spec":[]}`)}}
	var pod corev1.Pod
	for want, err := range map[string]error{
		"the request has no object": req.Decode(&pod),
		"decoding oldObject: ":      req.DecodeOld(&pod),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1"}}}]}}`))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		req := &Request{AdmissionRequest: &admissionv1.AdmissionRequest{Object: data}}
		var pod corev1.Pod
		if req.Decode(&pod) != nil {
			return
		}
		if ops, err := diff(data, &pod); err == nil && len(ops) != 0 {
			t.Errorf("unchanged, yet %s", describe(ops))
		}
	})
}
