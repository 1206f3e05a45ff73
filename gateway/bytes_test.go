package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/gateway"
)

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
	got := g.post(t, "/mutate?timeout=8s", recorded(t, "005-*"))
	if got.code != http.StatusOK || !strings.Contains(string(got.review.Response.Patch), "/metadata/labels/quick") {
		t.Fatalf("answered %d %s", got.code, got.text)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("answered after %s, when kube-apiserver no longer waits", took)
	}
}
