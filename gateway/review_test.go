package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionapi "k8s.io/api/admission/v1"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/gateway"
)

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
