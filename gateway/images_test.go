package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/gateway"
)

const imageReview = `{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","metadata":{},` +
	`"spec":{"containers":[{"image":"a:1"}],"annotations":{"x.image-policy.k8s.io/y":"z"},"namespace":"shop"},"status":{"allowed":false}}`

// images returns the answer to an ImageReview, as kube-apiserver reads it.
func (g gate) images(t *testing.T, body string) (answer, imagepolicyv1alpha1.ImageReviewStatus) {
	t.Helper()
	got := g.post(t, "/imagereview?timeout=30s", []byte(body))
	var review imagepolicyv1alpha1.ImageReview
	if got.code != http.StatusOK {
		return got, review.Status
	}
	if err := json.Unmarshal([]byte(got.text), &review); err != nil {
		t.Fatalf("%v: %s", err, got.text)
	}
	if review.Kind != "ImageReview" || review.APIVersion != "imagepolicy.k8s.io/v1alpha1" {
		t.Errorf("answered a %s of %s: %s", review.Kind, review.APIVersion, got.text)
	}
	return got, review.Status
}

// TestImageReviews: the same backends as of admission reviews, the same verdicts, another envelope. Mutators
// have no part in it, whatever their rules say.
func TestImageReviews(t *testing.T) {
	annotated := sdk.ValidatorFunc(func(context.Context, *sdk.Request) (*sdk.Verdict, error) {
		return &sdk.Verdict{Warnings: []string{"mind"}, AuditAnnotations: map[string]string{"tier": "gold"}}, nil
	})
	s := services{
		mutators:   map[string]sdk.Mutator{"labels": label("a", "b")},
		validators: map[string]sdk.Validator{"no": refuse("it is red"), "never": refuse("it is square"), "yes": annotated},
	}
	tests := map[string]struct {
		backends []gateway.Backend
		code     int    // default: 200
		text     string // part of an answer that is not 200
		want     imagepolicyv1alpha1.ImageReviewStatus
		outcomes []gatewayv1.Outcome
		warnings []string // of the steps, where an ImageReview has no place for them
	}{
		"nobody is asked, the images pass": {want: imagepolicyv1alpha1.ImageReviewStatus{Allowed: true}},
		"allowed, and annotated": {
			backends: []gateway.Backend{mutator("labels"), validator("yes")},
			want:     imagepolicyv1alpha1.ImageReviewStatus{Allowed: true, AuditAnnotations: map[string]string{"yes.tier": "gold"}},
			outcomes: []gatewayv1.Outcome{gatewayv1.Outcome_OUTCOME_ALLOWED}, warnings: []string{"mind"},
		},
		"refused": {
			backends: []gateway.Backend{validator("no"), validator("yes"), validator("never")},
			want: imagepolicyv1alpha1.ImageReviewStatus{
				Reason: "2 reasons:\n- never: it is square\n- no: it is red", AuditAnnotations: map[string]string{"yes.tier": "gold"},
			},
			outcomes: []gatewayv1.Outcome{gatewayv1.Outcome_OUTCOME_DENIED, gatewayv1.Outcome_OUTCOME_DENIED, gatewayv1.Outcome_OUTCOME_ALLOWED},
			warnings: []string{"mind it is square", "mind it is red", "mind"},
		},
		"a required backend that fails is an error and not a denial": {
			backends: []gateway.Backend{timeout(at(validator("yes"), "inproc://down"), 1)}, code: 500, text: `gatefold backend "yes" failed`,
			outcomes: []gatewayv1.Outcome{gatewayv1.Outcome_OUTCOME_FAILED},
		},
		"a refusal is certain whatever fails beside it": {
			backends: []gateway.Backend{validator("no"), validator("unheard-of")},
			want:     imagepolicyv1alpha1.ImageReviewStatus{Reason: "no: it is red"},
			outcomes: []gatewayv1.Outcome{gatewayv1.Outcome_OUTCOME_DENIED, gatewayv1.Outcome_OUTCOME_FAILED}, warnings: []string{"mind it is red"},
		},
		"an ignored backend that fails is no matter": {
			backends: []gateway.Backend{ignored(at(validator("no"), "inproc://down"))},
			want:     imagepolicyv1alpha1.ImageReviewStatus{Allowed: true},
			outcomes: []gatewayv1.Outcome{gatewayv1.Outcome_OUTCOME_IGNORED},
		},
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		for name, test := range tests {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				g := start(t, protocol, test.backends, s)
				got, status := g.images(t, imageReview)
				if test.code == 0 {
					test.code = http.StatusOK
				}
				if got.code != test.code || got.code != http.StatusOK && !strings.Contains(got.text, test.text) {
					t.Fatalf("answered %d %s", got.code, got.text)
				}
				if diff := cmp.Diff(test.want, status); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				var outcomes []gatewayv1.Outcome
				var warnings []string
				for _, step := range g.decision(t).GetSteps() {
					outcomes, warnings = append(outcomes, step.GetOutcome()), append(warnings, step.GetWarnings()...)
				}
				if diff := cmp.Diff(test.outcomes, outcomes); diff != "" {
					t.Errorf("outcomes (-want +got)\n%s", diff)
				}
				if diff := cmp.Diff(test.warnings, warnings); diff != "" {
					t.Errorf("warnings (-want +got)\n%s", diff)
				}
			})
		}
	}
}

// TestImageReviewRequest: what a backend gets to see.
func TestImageReviewRequest(t *testing.T) {
	asked := make(chan *sdk.Request, 2)
	g := start(t, "h2", []gateway.Backend{validator("look")}, services{validators: map[string]sdk.Validator{
		"look": sdk.ValidatorFunc(func(_ context.Context, r *sdk.Request) (*sdk.Verdict, error) { asked <- r; return nil, nil }),
	}})
	for range 2 {
		if got, _ := g.images(t, imageReview); got.code != http.StatusOK {
			t.Fatalf("answered %d %s", got.code, got.text)
		}
	}
	first, second := <-asked, <-asked
	if first.GetUid() == "" || first.GetUid() == second.GetUid() {
		t.Errorf("the uids are %q and %q", first.GetUid(), second.GetUid())
	}
	if string(first.GetObject()) != imageReview {
		t.Errorf("the object is %s", first.GetObject())
	}
	if first.GetOperation() != admissionv1.Operation_OPERATION_CREATE || first.GetResource().GetResource() != "imagereviews" ||
		first.GetNamespace() != "shop" || first.GetName() != "" || first.GetUserInfo().GetUsername() != "" || first.GetDryRun() {
		t.Errorf("the request is %v", first)
	}
	g.awaitMetric(t, `gatefold_decisions_total{phase="validate",verdict="allowed"} 2`)
}

// TestBadImageReviews: the two kinds of reviews are not taken for each other, and one that is too large is
// refused, because defaultAllow would let the images in unseen.
func TestBadImageReviews(t *testing.T) {
	g := start(t, "h2", []gateway.Backend{validator("yes")}, services{validators: map[string]sdk.Validator{"yes": allow()}})
	tests := map[string]struct {
		method, path, contentType, body string
		code                            int
		text                            string
	}{
		"an AdmissionReview": {body: string(recorded(t, "005-*")), code: 400, text: `kind is "AdmissionReview", expected "ImageReview"`},
		"an ImageReview among admission reviews": {
			path: "/validate", body: imageReview, code: 400, text: `kind is "ImageReview", expected "AdmissionReview"`,
		},
		"an ImageReview to be changed": {path: "/mutate", body: imageReview, code: 400, text: `kind is "ImageReview", expected "AdmissionReview"`},
		"cut off":                      {body: imageReview[:100], code: 400, text: "the body is not an ImageReview: it ends too early"},
		"nothing":                      {body: "", code: 400, text: "the body is empty; an ImageReview"},
		"a long kind":                  {body: `{"kind":"` + strings.Repeat("x", 1<<20) + `"}`, code: 400, text: `xxx…", expected "ImageReview"`},
		"another method":               {method: http.MethodGet, code: 405, text: "reviews are sent by POST"},
		"another type":                 {contentType: "application/vnd.kubernetes.protobuf", code: 415, text: "expected application/json"},
		"slash behind":                 {path: "/imagereview/", code: 404, text: "reviews go to exactly /mutate, /validate or /imagereview"},
		"the plural":                   {path: "/imagereviews", code: 404, text: "there is nothing at /imagereviews"},
		"too large": {
			body: strings.Replace(imageReview, "a:1", strings.Repeat("x", 25<<20), 1), code: 200,
			text: `{"kind":"ImageReview","apiVersion":"imagepolicy.k8s.io/v1alpha1","status":{"allowed":false,"reason":"the review is larger than the gate takes (limits.reviewBytes: 25165824)"}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for value, byDefault := range map[*string]string{&test.method: http.MethodPost, &test.path: "/imagereview", &test.contentType: "application/json"} {
				if *value == "" {
					*value = byDefault
				}
			}
			got := g.do(t, test.method, test.path, test.contentType, bytes.NewReader([]byte(test.body)))
			if got.code != test.code || !strings.Contains(got.text, test.text) || len(got.text) > 1000 {
				t.Errorf("answered %d %.1000s, want %d with %q", got.code, got.text, test.code, test.text)
			}
		})
	}
	g.awaitMetric(t, `gatefold_failures_total{cause="too_large"} 1`)
	g.awaitMetric(t, `gatefold_failures_total{cause="bad_review"}`)
}
