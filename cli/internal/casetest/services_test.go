package casetest

import (
	"strings"
	"testing"

	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// serviceTrees are the folders with the cases of the mutators and validators.
var serviceTrees = []string{"../../../mutator-svc", "../../../validator-svc"}

// longest is the length of a warning of identity: kube-apiserver cuts longer ones where there are many.
const longest = 120

// TestServices runs the cases of the mutators and validators. What holds for each of them is not written there: a
// mutator has nothing to add to what it has made, loses nothing, and warns in few words.
func TestServices(t *testing.T) {
	r := &runner{report: &Report{}, goldens: goldens{}}
	for _, folder := range serviceTrees {
		files, err := find([]string{folder})
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", folder, err)
		}
		for _, file := range files {
			r.read(file)
		}
	}
	if err := r.runAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustPass(t, r.report)
	if len(r.tries) < 400 {
		t.Errorf("%d cases only", len(r.tries))
	}
	again := &runner{report: &Report{}}
	for _, one := range r.tries {
		if one.came == nil || one.came.Verdict != review.Allowed || len(one.came.Patch) == 0 {
			continue
		}
		if one.doc.at("mutator", "identity") != nil { // labels say in full what they change
			t.Run(one.result.Name, one.losesNothing)
		}
		again.tries = append(again.tries, one.again(t))
	}
	if len(again.tries) < 200 {
		t.Errorf("%d cases change something", len(again.tries))
	}
	if err := again.runAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, one := range again.tries {
		if one.came == nil || one.came.Verdict != review.Allowed || len(one.came.Patch) > 0 {
			t.Errorf("%s: %s: a second pass changes the object again, or fails: %+v", one.result.File, one.result.Name, one.came)
		}
	}
}

func mustPass(t *testing.T, report *Report) {
	t.Helper()
	if len(report.Problems) == 0 && len(report.Notes) == 0 && report.Count(Passed) == len(report.Results) {
		return
	}
	var b strings.Builder
	if err := (Output{Style: render.Style{}, FailOnly: true}).table(&b, report); err != nil {
		t.Fatal(err)
	}
	t.Errorf("problems %v, notes %q\n%s", report.Problems, report.Notes, b.String())
}

// losesNothing compares the object that came out with what was asked for. What may be replaced is what identity calls
// its own; the cases have in full what it is replaced by.
func (t *try) losesNothing(tt *testing.T) {
	for _, warning := range t.came.Warnings {
		if _, text, _ := strings.Cut(warning, ": "); len(text) > longest {
			tt.Errorf("a warning of %d bytes, want at most %d: %s", len(text), longest, text)
		}
	}
	sdktest.NothingLost(tt, t.question.Request.GetObject(), t.came.Validated.GetObject(),
		"azure-workload-identity-reserved-*", "cloud.google.com/*", "gcp-iam-token", "gcloud-config", "external-credential-config", "gcloud-setup",
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG")
}

// again asks for what came out.
func (t *try) again(tt *testing.T) *try {
	next, question := *t, *t.question
	root, err := tree.ParseJSON(t.came.Validated.GetObject())
	if err != nil {
		tt.Fatal(err)
	}
	question.Root, question.Request = root, t.came.Validated
	next.question, next.golden, next.came = &question, nil, nil
	next.result = &Result{File: t.result.File, Name: t.result.Name}
	return &next
}
