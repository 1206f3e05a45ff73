package policytest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"

	"github.com/gatefold/gatefold/policy"
)

// Problems holds what parse says about the bad files of testdata/load against the *.golden beside them, which update
// writes.
func Problems(t *testing.T, parse func([]policy.File) error, update bool) {
	t.Helper()
	for _, file := range sdktest.Files(t, "testdata/load/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			err = parse([]policy.File{{Name: filepath.Base(file), Data: data}})
			if _, ok := errors.AsType[config.Problems](err); !ok {
				t.Fatalf("no problems: %v", err)
			}
			sdktest.Golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n", update)
		})
	}
}

// Refused holds parse against policies that kube-apiserver was asked to store, of testdata/policies-rejected.jsonl.
func Refused(t *testing.T, parse func([]policy.File) error) {
	t.Helper()
	type asked struct {
		ID     string          `json:"id"`
		Object json.RawMessage `json:"object"`
		Result struct {
			Accepted bool           `json:"accepted"`
			Status   *metav1.Status `json:"status"`
		} `json:"result"`
	}
	for _, r := range Recordings[asked](t, "testdata/policies-rejected.jsonl") {
		t.Run(r.ID, func(t *testing.T) {
			err := parse([]policy.File{{Name: "policy.json", Data: r.Object}})
			if r.Result.Accepted {
				if err != nil {
					t.Fatalf("kube-apiserver accepts it: %v", err)
				}
				return
			}
			problems, ok := errors.AsType[config.Problems](err)
			if !ok {
				t.Fatalf("kube-apiserver refuses it: %s\nhere: %v", r.Result.Status.Message, err)
			}
			for _, cause := range r.Result.Status.Details.Causes {
				if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Path == cause.Field }) {
					t.Errorf("no problem at %s: %s\nhere: %v", cause.Field, cause.Message, problems)
				}
			}
		})
	}
}
