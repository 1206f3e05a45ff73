package gateway_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/sdk"
)

func TestBadInput(t *testing.T) {
	pod := recorded(t, "005-*")
	change := func(old, replacement string) []byte {
		out := bytes.Replace(pod, []byte(old), []byte(replacement), 1)
		if bytes.Equal(out, pod) {
			t.Fatalf("the review has no %s", old)
		}
		return out
	}
	big := func(bytes int) []byte {
		return change(`"object":{`, `"object":{"padding":"`+strings.Repeat("x", bytes)+`",`)
	}
	type request struct {
		method, path, contentType string
		body                      []byte
	}
	tests := map[string]struct {
		request
		code   int
		text   string
		header string // name=value
		denied string
	}{
		"not JSON":             {request: request{body: []byte("<html>")}, code: 400, text: "the body is not an AdmissionReview"},
		"cut off":              {request: request{body: pod[:len(pod)-20]}, code: 400, text: "it ends too early"},
		"two reviews":          {request: request{body: append(bytes.Clone(pod), pod...)}, code: 400, text: "the body is not an AdmissionReview"},
		"empty":                {request: request{body: []byte{}}, code: 400, text: "the body is empty"},
		"no request":           {request: request{body: []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`)}, code: 400, text: "the AdmissionReview has no request"},
		"another kind":         {request: request{body: []byte(`{"kind":"Pod","apiVersion":"v1"}`)}, code: 400, text: `kind is "Pod", expected "AdmissionReview"`},
		"another version":      {request: request{body: change("admission.k8s.io/v1", "admission.k8s.io/v2")}, code: 400, text: `apiVersion is "admission.k8s.io/v2", expected "admission.k8s.io/v1" or "admission.k8s.io/v1beta1"`},
		"empty uid":            {request: request{body: change("21a98ee6-1b5c-4ed2-9e0f-5b620e846deb", "")}, code: 400, text: "request.uid is empty"},
		"unknown operation":    {request: request{body: change(`"CREATE"`, `"PATCH"`)}, code: 400, text: `request.operation is "PATCH"`},
		"member in other case": {request: request{body: change(`"request":`, `"Request":`)}, code: 400, text: "the AdmissionReview has no request"},
		"wrong content type":   {request: request{contentType: "application/yaml"}, code: 415, text: `content type is "application/yaml", expected application/json`},
		"content type in full": {request: request{contentType: "application/json; charset=utf-8"}, code: 200},
		"wrong method":         {request: request{method: http.MethodGet}, code: 405, text: "reviews are sent by POST", header: "Allow=POST"},
		"double slash":         {request: request{path: "//mutate"}, code: 404, text: "there is nothing at //mutate"},
		"slash behind":         {request: request{path: "/mutate/"}, code: 404, text: "there is nothing at /mutate/"},
		"escaped":              {request: request{path: "/%6dutate"}, code: 404, text: "there is nothing at"},
		"dots":                 {request: request{path: "/x/../mutate"}, code: 404, text: "there is nothing at /x/../mutate"},
		"root":                 {request: request{path: "/"}, code: 404, text: "there is nothing at /"},
		"the gRPC path":        {request: request{path: "/gatefold.gateway.v1.GateService/Mutate"}, code: 404, text: "there is nothing at"},
		"20 MB":                {request: request{body: big(20 << 20)}, code: 200},
		"more than the limit":  {request: request{body: big(25 << 20)}, code: 200, denied: "the review is larger than the gate takes (limits.reviewBytes: 25165824)"},
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		g := start(t, protocol, nil, services{mutators: map[string]sdk.Mutator{"unused": label("a", "b")}})
		for name, test := range tests {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				r := request{http.MethodPost, "/mutate", "application/json", pod}
				if test.method != "" {
					r.method = test.method
				}
				if test.path != "" {
					r.path = test.path
				}
				if test.contentType != "" {
					r.contentType = test.contentType
				}
				if test.body != nil {
					r.body = test.body
				}
				got := g.do(t, r.method, r.path, r.contentType, bytes.NewReader(r.body))
				if got.code != test.code || !strings.Contains(got.text, test.text) {
					t.Fatalf("answered %d %s, want %d with %q", got.code, got.text, test.code, test.text)
				}
				if name, value, ok := strings.Cut(test.header, "="); ok && got.header.Get(name) != value {
					t.Errorf("header %s is %q, want %q", name, got.header.Get(name), value)
				}
				if got.code != http.StatusOK {
					return
				}
				if got.review.Response.UID != "21a98ee6-1b5c-4ed2-9e0f-5b620e846deb" {
					t.Errorf("answered another uid: %q", got.review.Response.UID)
				}
				if got.review.Response.Allowed != (test.denied == "") {
					t.Errorf("allowed is %v", got.review.Response.Allowed)
				}
				if test.denied != "" && (got.review.Response.Result.Message != test.denied || got.review.Response.Result.Code != 413) {
					t.Errorf("refused with %+v", got.review.Response.Result)
				}
			})
		}
	}
}
