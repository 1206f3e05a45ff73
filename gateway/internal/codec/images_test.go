package codec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// An imageCase is one entry of testdata/images.yaml.
type imageCase struct {
	Name      string `json:"name"`
	Body      string `json:"body"`
	Namespace string `json:"namespace"`
	Error     string `json:"error"`
}

func imageCases(tb testing.TB) []imageCase {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "images.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	var cases []imageCase
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		tb.Fatal(err)
	}
	return cases
}

func TestDecodeImageReview(t *testing.T) {
	for _, c := range imageCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			got, err := DecodeImageReview([]byte(c.Body), "the-uid")
			if (err != nil) != (c.Error != "") || err != nil && !strings.Contains(err.Error(), c.Error) {
				t.Fatalf("error is %v, want %q", err, c.Error)
			}
			if c.Error != "" {
				return
			}
			names := [3]string{"imagepolicy.k8s.io", "v1alpha1", "imagereviews"}
			kinds := [3]string{"imagepolicy.k8s.io", "v1alpha1", "ImageReview"}
			want := fields{
				UID: "the-uid", Namespace: c.Namespace, Operation: "CREATE",
				Kind: kinds, RequestKind: kinds, Resource: names, RequestResource: names, Extra: map[string][]string{},
			}
			if diff := cmp.Diff(want, summaryOf(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if string(got.GetObject()) != strings.TrimSpace(c.Body) {
				t.Errorf("the object is %s", got.GetObject())
			}
		})
	}
}

// TestLongReviews: what the sender is told quotes what came, and that may be megabytes.
func TestLongReviews(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	for name, body := range map[string]string{
		"kind":       `{"kind":"` + long + `"}`,
		"apiVersion": `{"kind":"KIND","apiVersion":"` + long + `"}`,
		"operation":  `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"` + long + `"}}`,
		"member":     `{"spec":{"annotations":{"` + long + `":1}},"request":{"userInfo":{"extra":{"` + long + `":1}}}}`,
		"duplicate":  `{"` + long + `":1,"` + long + `":1}`,
		"no JSON":    long,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := DecodeReview([]byte(strings.ReplaceAll(body, "KIND", "AdmissionReview")))
			_, imageErr := DecodeImageReview([]byte(strings.ReplaceAll(body, "KIND", "ImageReview")), "1")
			for _, err := range []error{err, imageErr} {
				if err == nil || len(err.Error()) > 1000 || !strings.ContainsAny(err.Error(), "abc") {
					t.Errorf("the error is %.2000v", err)
				}
			}
		})
	}
}

// TestEncodeImageReview reads answers with the API's own type.
func TestEncodeImageReview(t *testing.T) {
	tests := map[string]struct {
		review *gatewayv1.Review
		want   imagepolicyv1alpha1.ImageReviewStatus
	}{
		"allowed": {&gatewayv1.Review{Uid: "1", Allowed: true}, imagepolicyv1alpha1.ImageReviewStatus{Allowed: true}},
		"annotated, and warned": {
			&gatewayv1.Review{Uid: "1", Allowed: true, AuditAnnotations: map[string]string{"policy.a": "b"}, Warnings: []string{"mind"}},
			imagepolicyv1alpha1.ImageReviewStatus{Allowed: true, AuditAnnotations: map[string]string{"policy.a": "b"}},
		},
		"refused": {
			&gatewayv1.Review{Uid: "1", Status: &gatewayv1.Status{
				Message: "2 reasons:\n- a: no <b>\n- b: \"no\"", Reason: "Forbidden", Code: 403, Causes: []*admissionv1.Cause{{Message: "m"}},
			}},
			imagepolicyv1alpha1.ImageReviewStatus{Reason: "2 reasons:\n- a: no <b>\n- b: \"no\""},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data, err := EncodeImageReview(test.review)
			if err != nil {
				t.Fatal(err)
			}
			dec := json.NewDecoder(bytes.NewReader(data))
			dec.DisallowUnknownFields()
			var got imagepolicyv1alpha1.ImageReview
			if err := dec.Decode(&got); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			want := imagepolicyv1alpha1.ImageReview{Status: test.want}
			want.Kind, want.APIVersion = "ImageReview", "imagepolicy.k8s.io/v1alpha1"
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s\n%s", diff, data)
			}
			if !bytes.Contains(data, []byte(`"allowed":`)) {
				t.Errorf("the verdict is left out of %s", data)
			}
		})
	}
}

// FuzzDecodeImageReview holds what is read against what kube-apiserver's own decoder makes of it: the gate must
// never look up another namespace than was meant, nor hand on what backends cannot read.
func FuzzDecodeImageReview(f *testing.F) {
	for _, c := range imageCases(f) {
		f.Add([]byte(c.Body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := DecodeImageReview(data, "1")
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("the error is %d bytes", len(err.Error()))
			}
			return
		}
		if !bytes.Contains(data, req.GetObject()) {
			t.Fatalf("%s is not a piece of %s", req.GetObject(), data)
		}
		var upstream struct {
			Spec imagepolicyv1alpha1.ImageReviewSpec `json:"spec"`
		}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(req.GetObject(), &upstream); err != nil {
			t.Fatalf("kube-apiserver cannot read %s: %v", req.GetObject(), err)
		}
		if upstream.Spec.Namespace != req.GetNamespace() {
			t.Fatalf("the namespace of %s is read as %q, and by kube-apiserver as %q", data, req.GetNamespace(), upstream.Spec.Namespace)
		}
	})
}
