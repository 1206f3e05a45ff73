package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	admissionapi "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"

	"github.com/gatefold/gatefold/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a running gate and a client that trusts it.
type gate struct {
	url    string
	client *http.Client
}

// services are what backends of type Mutator and Validator reach, by handler name.
type services struct {
	mutators   map[string]sdk.Mutator
	validators map[string]sdk.Validator
}

// start runs a gate with the backends of cfg in front of services until the test ends. protocol is h2 or
// http/1.1.
func start(t *testing.T, protocol string, backends []gateway.Backend, s services) gate {
	t.Helper()
	cfg := &gateway.Config{Backends: append([]gateway.Backend{}, backends...)}
	cfg.SetDefaults()
	drain := int32(0)
	cfg.DrainSeconds = &drain
	cfg.Limits.ReviewBytes = 24 << 20

	server := sdktest.Listen(t)
	grpcServer := sdk.NewServer(sdk.Config{Name: "test", Mutators: s.mutators, Validators: s.validators})
	grpc_health_v1.RegisterHealthServer(grpcServer, health.NewServer())
	go func() { _ = grpcServer.Serve(server) }()
	t.Cleanup(grpcServer.Stop)

	ca, err := throwaway.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config:   cfg,
			Listener: listener,
			TLS:      &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12},
			DialInproc: func(ctx context.Context, b gateway.Backend) (net.Conn, error) {
				if b.Endpoint == "inproc://down" {
					return nil, errors.New("nobody is there")
				}
				return server.DialContext(ctx)
			},
			Telemetry: telemetry.Discard(),
		})
	}()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == "http/1.1")
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}, Protocols: protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the gate ended with %v", err)
		}
	})
	return gate{
		url: "https://" + listener.Addr().String(),
		client: &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			t.Errorf("the gate redirected to %s", r.URL)
			return http.ErrUseLastResponse
		}},
	}
}

// answer is an HTTP answer, and the AdmissionReview in it where it is one.
type answer struct {
	code   int
	header http.Header
	text   string
	review *admissionapi.AdmissionReview
}

func (g gate) post(t *testing.T, path string, body []byte) answer {
	t.Helper()
	return g.do(t, http.MethodPost, path, "application/json", bytes.NewReader(body))
}

func (g gate) do(t *testing.T, method, path, contentType string, body io.Reader) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{code: resp.StatusCode, header: resp.Header, text: strings.TrimSpace(string(data))}
	if resp.StatusCode == http.StatusOK {
		out.review = &admissionapi.AdmissionReview{}
		if err := json.Unmarshal(data, out.review); err != nil {
			t.Fatalf("the answer is no AdmissionReview: %v: %s", err, data)
		}
	}
	return out
}

func everything() []admissionregistrationv1.RuleWithOperations {
	all := "*"
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{all}, APIVersions: []string{all}, Resources: []string{"*", "*/*"}},
	}}
}

func mutator(name string) gateway.Backend {
	return gateway.Backend{Name: name, Type: gateway.Mutator, Endpoint: "inproc://x", Rules: everything()}
}

func validator(name string) gateway.Backend {
	return gateway.Backend{Name: name, Type: gateway.Validator, Endpoint: "inproc://x", Rules: everything()}
}

func ignored(b gateway.Backend) gateway.Backend {
	ignore := admissionregistrationv1.Ignore
	b.FailurePolicy = &ignore
	return b
}

func timeout(b gateway.Backend, seconds int32) gateway.Backend {
	b.TimeoutSeconds = &seconds
	return b
}

// label returns a mutator that sets one label of any object.
func label(key, value string) sdk.Mutator {
	return sdk.MutatorFunc(func(_ context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		var object struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		if err := r.Decode(&object); err != nil {
			return nil, err
		}
		m := &sdk.Mutation{}
		if object.Metadata.Labels == nil {
			m.Patch.Add("/metadata/labels", map[string]string{})
		}
		m.Patch.Add(sdk.Pointer("metadata", "labels", key), value)
		return m, nil
	})
}

func refuse(reason string) sdk.Validator {
	return sdk.ValidatorFunc(func(context.Context, *sdk.Request) (*sdk.Verdict, error) {
		return &sdk.Verdict{Denials: []*admissionv1.Denial{sdk.Deny("%s", reason)}, Warnings: []string{"mind " + reason}}, nil
	})
}

func recorded(t *testing.T, pattern string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("internal", "codec", "testdata", "reviews", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded review is called %s (%v)", pattern, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReview(t *testing.T) {
	slow := sdk.MutatorFunc(func(ctx context.Context, _ *sdk.Request) (*sdk.Mutation, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s := services{
		mutators: map[string]sdk.Mutator{
			"a-first": label("first", "1"), "b-second": label("second", "2"), "slow": slow,
			"broken":    sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) { return nil, errors.New("no disk") }),
			"crashing":  sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) { panic("at the disco") }),
			"unpatched": patches("/spec/nowhere/deep", "x"), "status": patches("/status", "x"), "uid": patches("/metadata/uid", "x"),
			"spec": patches("/spec/hostNetwork", true),
			"refusing": sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) {
				return &sdk.Mutation{Denial: sdk.Deny("not this one")}, nil
			}),
		},
		validators: map[string]sdk.Validator{"no": refuse("it is red"), "never": refuse("it is square"), "yes": allow()},
	}
	onlyLabels := mutator("spec")
	onlyLabels.MayPatch = []string{"/metadata/labels"}
	tests := map[string]struct {
		path     string
		backends []gateway.Backend
		review   string // default: a pod's creation
		code     int    // default: 200
		text     string // part of an answer that is not 200
		allowed  bool
		message  string // of a denial
		patch    string
		warnings []string
	}{
		"nobody is asked, the object passes": {path: "/mutate", allowed: true},
		"two mutators, one patch, in the order of their names": {
			path: "/mutate", backends: []gateway.Backend{mutator("b-second"), mutator("a-first")}, allowed: true,
			patch: `[{"op":"add","path":"/metadata/labels/first","value":"1"},{"op":"add","path":"/metadata/labels/second","value":"2"}]`,
		},
		"after overrules names": {
			path: "/mutate", backends: []gateway.Backend{mutator("b-second"), after(mutator("a-first"), "b-second")}, allowed: true,
			patch: `[{"op":"add","path":"/metadata/labels/second","value":"2"},{"op":"add","path":"/metadata/labels/first","value":"1"}]`,
		},
		"a required backend that fails is an error and not a denial": {
			path: "/mutate", backends: []gateway.Backend{mutator("broken"), mutator("a-first")}, code: 500, text: `backend "broken" failed: it answered with an error`,
		},
		"an ignored backend that fails is a warning": {
			path: "/mutate", backends: []gateway.Backend{ignored(mutator("broken")), mutator("a-first")}, allowed: true,
			patch:    `[{"op":"add","path":"/metadata/labels/first","value":"1"}]`,
			warnings: []string{`gatefold backend "broken" failed and was ignored: it answered with an error`},
		},
		"a crash is that backend's failure": {
			path: "/mutate", backends: []gateway.Backend{mutator("crashing")}, code: 500, text: `backend "crashing" failed`,
		},
		"a required backend that is not there is an error": {
			path: "/mutate", backends: []gateway.Backend{timeout(at(mutator("a-first"), "inproc://down"), 1)}, code: 500, text: "nobody is there",
		},
		"an ignored backend that is not there is a warning, at once": {
			path: "/mutate", backends: []gateway.Backend{ignored(at(mutator("a-first"), "inproc://down"))}, allowed: true,
			warnings: []string{`gatefold backend "a-first" failed and was ignored: it cannot be reached`},
		},
		"a slow backend is cut off and named": {
			path: "/mutate", backends: []gateway.Backend{timeout(mutator("slow"), 1)}, code: 500, text: `backend "slow" failed: no answer within`,
		},
		"a handler that nobody serves": {
			path: "/mutate", backends: []gateway.Backend{mutator("unheard-of")}, code: 500, text: "endpoint or handler is wrong",
		},
		"a patch that does not apply is the backend's failure": {
			path: "/mutate", backends: []gateway.Backend{mutator("unpatched")}, code: 500, text: "operation 0 (add /spec/nowhere/deep) does not apply: /spec/nowhere: it does not exist",
		},
		"under Ignore too, and the others go on": {
			path: "/mutate", backends: []gateway.Backend{ignored(mutator("unpatched")), mutator("a-first")}, allowed: true,
			patch:    `[{"op":"add","path":"/metadata/labels/first","value":"1"}]`,
			warnings: []string{`gatefold backend "unpatched" failed and was ignored: operation 0`},
		},
		"status is not for mutators": {path: "/mutate", backends: []gateway.Backend{mutator("status")}, code: 500, text: "/status belongs to the status subresource"},
		"nor is uid":                 {path: "/mutate", backends: []gateway.Backend{mutator("uid")}, code: 500, text: "/metadata/uid is not for mutators to change"},
		"nor what mayPatch leaves out": {
			path: "/mutate", backends: []gateway.Backend{onlyLabels}, code: 500, text: "operation 0 (add /spec/hostNetwork): is outside the backend's mayPatch",
		},
		"a patch on DELETE is the backend's failure": {
			path: "/mutate", review: "021-*", backends: []gateway.Backend{mutator("spec")}, code: 500, text: "a patch on DELETE, which carries no object to patch",
		},
		"a mutator may refuse, and those after it are not asked": {
			path: "/mutate", backends: []gateway.Backend{mutator("refusing"), after(mutator("broken"), "refusing")}, message: "refusing: not this one",
		},
		"all refusals come together": {
			path: "/validate", backends: []gateway.Backend{validator("no"), validator("never"), validator("yes")},
			message:  "2 reasons:\n- never: it is square\n- no: it is red",
			warnings: []string{"never: mind it is square", "no: mind it is red"},
		},
		"a refusal is certain whatever fails beside it": {
			path: "/validate", backends: []gateway.Backend{validator("no"), validator("unheard-of")}, message: "no: it is red",
			warnings: []string{"no: mind it is red"},
		},
		"a required validator that fails never passes": {
			path: "/validate", backends: []gateway.Backend{validator("yes"), validator("unheard-of")}, code: 500, text: `backend "unheard-of" failed`,
		},
		"validators that agree": {path: "/validate", backends: []gateway.Backend{validator("yes")}, allowed: true},
		"v1beta1 is answered in v1beta1": {
			path: "/mutate", review: "032-*", backends: []gateway.Backend{mutator("a-first")}, allowed: true,
			patch: `[{"op":"add","path":"/metadata/labels/first","value":"1"}]`,
		},
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		for name, test := range tests {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				g := start(t, protocol, test.backends, s)
				review := "005-*"
				if test.review != "" {
					review = test.review
				}
				sent := recorded(t, review)
				got := g.post(t, test.path+"?timeout=10s", sent)
				if test.code != 0 {
					if got.code != test.code || !strings.Contains(got.text, test.text) {
						t.Fatalf("answered %d %s, want %d with %q", got.code, got.text, test.code, test.text)
					}
					return
				}
				if got.code != http.StatusOK {
					t.Fatalf("answered %d %s", got.code, got.text)
				}
				checkEnvelope(t, sent, got.review)
				response := got.review.Response
				if response.Allowed != test.allowed {
					t.Errorf("allowed is %v, want %v: %v", response.Allowed, test.allowed, response.Result)
				}
				if test.message != "" && (response.Result == nil || response.Result.Message != test.message || response.Result.Code != 403) {
					t.Errorf("refused with %+v, want %q and 403", response.Result, test.message)
				}
				if string(response.Patch) != test.patch {
					t.Errorf("patch is %s, want %s", response.Patch, test.patch)
				}
				if len(response.Warnings) != len(test.warnings) {
					t.Fatalf("warnings are %q, want %q", response.Warnings, test.warnings)
				}
				for i, want := range test.warnings {
					if !strings.HasPrefix(response.Warnings[i], want) {
						t.Errorf("warning %d is %q, want %q", i, response.Warnings[i], want)
					}
				}
			})
		}
	}
}

// checkEnvelope holds an answer to what kube-apiserver demands of one.
func checkEnvelope(t *testing.T, sent []byte, got *admissionapi.AdmissionReview) {
	t.Helper()
	var asked admissionapi.AdmissionReview
	if err := json.Unmarshal(sent, &asked); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asked.TypeMeta, got.TypeMeta); diff != "" {
		t.Errorf("the answer is of another kind (-asked +answered):\n%s", diff)
	}
	if got.Response == nil || got.Response.UID != asked.Request.UID {
		t.Fatalf("the answer is not to this request: %+v", got.Response)
	}
	if (len(got.Response.Patch) > 0) != (got.Response.PatchType != nil) {
		t.Error("patch and patchType must both be there or both be absent")
	}
}

func patches(pointer string, value any) sdk.Mutator {
	return sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) {
		m := &sdk.Mutation{}
		m.Patch.Add(pointer, value)
		return m, nil
	})
}

func allow() sdk.Validator {
	return sdk.ValidatorFunc(func(context.Context, *sdk.Request) (*sdk.Verdict, error) { return nil, nil })
}

func after(b gateway.Backend, names ...string) gateway.Backend {
	b.After = names
	return b
}

func at(b gateway.Backend, endpoint string) gateway.Backend {
	b.Endpoint = endpoint
	return b
}

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
		"more than the limit":  {request: request{body: big(25 << 20)}, code: 200, denied: "the admission review is larger than the gate takes (limits.reviewBytes: 25165824)"},
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

// TestWrongKindOfAnswer is the failure of many home-made webhooks: "expected webhook response of
// admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=".
func TestWrongKindOfAnswer(t *testing.T) {
	g := start(t, "h2", nil, services{mutators: map[string]sdk.Mutator{"unused": label("a", "b")}})
	for review, want := range map[string]string{"005-*": "admission.k8s.io/v1", "032-*": "admission.k8s.io/v1beta1"} {
		for _, path := range []string{"/mutate", "/validate"} {
			got := g.post(t, path, recorded(t, review)).review
			if got.APIVersion != want || got.Kind != "AdmissionReview" {
				t.Errorf("%s answered %s with %s, Kind=%s", path, want, got.APIVersion, got.Kind)
			}
		}
	}
}

// TestBytesAreSacred sends every recorded review through the gate and compares what the backends saw with
// what kube-apiserver sent, byte for byte.
func TestBytesAreSacred(t *testing.T) {
	var seen *admissionv1.AdmissionRequest
	spy := sdk.MutatorFunc(func(_ context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		seen = r.AdmissionRequest
		return nil, nil
	})
	g := start(t, "h2", []gateway.Backend{mutator("spy")}, services{mutators: map[string]sdk.Mutator{"spy": spy}})
	files, err := filepath.Glob(filepath.Join("internal", "codec", "testdata", "reviews", "*.json"))
	if err != nil || len(files) != 35 {
		t.Fatalf("found %d recorded reviews, want 35 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var sent struct {
				Request struct {
					Object, OldObject, Options json.RawMessage
				}
			}
			if err := json.Unmarshal(data, &sent); err != nil {
				t.Fatal(err)
			}
			seen = nil
			checkEnvelope(t, data, g.post(t, "/mutate", data).review)
			if seen == nil {
				t.Fatal("the mutator was not asked")
			}
			for what, pair := range map[string][2][]byte{
				"object":    {sent.Request.Object, seen.GetObject()},
				"oldObject": {sent.Request.OldObject, seen.GetOldObject()},
				"options":   {sent.Request.Options, seen.GetOptions()},
			} {
				want := pair[0]
				if string(want) == "null" {
					want = nil
				}
				if !bytes.Equal(want, pair[1]) {
					t.Errorf("%s changed on its way:\nsent %s\nseen %s", what, want, pair[1])
				}
				if len(want) > 0 && !bytes.Contains(data, pair[1]) {
					t.Errorf("%s is not a piece of what was sent", what)
				}
			}
		})
	}
}

// TestTimeIsShared shows that a hanging mutator leaves time for the others, and that the answer names it.
func TestTimeIsShared(t *testing.T) {
	slow := sdk.MutatorFunc(func(ctx context.Context, _ *sdk.Request) (*sdk.Mutation, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	g := start(t, "h2", []gateway.Backend{ignored(timeout(mutator("a-slow"), 30)), mutator("b-quick")},
		services{mutators: map[string]sdk.Mutator{"a-slow": slow, "b-quick": label("quick", "yes")}})
	begin := time.Now()
	got := g.post(t, "/mutate?timeout=2s", recorded(t, "005-*"))
	if got.code != http.StatusOK || !strings.Contains(string(got.review.Response.Patch), "/metadata/labels/quick") {
		t.Fatalf("answered %d %s", got.code, got.text)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("answered after %s, when kube-apiserver no longer waits", took)
	}
}
