package validatorsvc

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func TestWhichValidators(t *testing.T) {
	for text, want := range map[string]struct {
		validators []string
		problem    string
	}{
		"listen: {}":             {nil, "name the files or folders of the policies"},
		"policy: {paths: [a]}":   {[]string{Policy}, ""},
		"snapshot: {}":           {[]string{Snapshot}, ""},
		"validators: [snapshot]": {nil, "write snapshot: {}"},
		"validators: [absent]":   {nil, `write "policy"`},
		"quota: {rules: [{name: a, apiVersion: v1, kind: Pod, max: 1}]}":           {[]string{Quota}, ""},
		"quota: {}\nvalidators: [quota]":                                           {nil, "write a rule"},
		"quota: {rules: [{name: a, apiVersion: v1, kind: Pod}]}":                   {nil, "quota.rules[0].max"},
		"snapshot: {groupClass: yes}":                                              {nil, "groupClass"},
		"snapshot: {groupClasses: true}\npolicy: {paths: [a]}":                     {[]string{Policy, Snapshot}, ""},
		"snapshot: {}\npolicy: {paths: [a]}\nvalidators: [policy]":                 {[]string{Policy}, ""},
		"snapshot: {}\nvalidators: [snapshot, snapshot]":                           {nil, "is there twice"},
		"snapshot: {}\npolicy: {}\nvalidators: [snapshot]\nlisten: {address: a:1}": {[]string{Snapshot}, ""},
	} {
		c, problems := config.Parse[Config]("f", []byte("apiVersion: gatefold.dev/v1alpha1\nkind: ValidatorConfig\n"+text+"\n"), config.ValidatorConfig)
		switch {
		case want.problem == "" && problems != nil:
			t.Errorf("%s: %v", text, problems)
		case want.problem != "" && (problems == nil || !strings.Contains(problems.Error(), want.problem)):
			t.Errorf("%s: %v, want %s", text, problems, want.problem)
		case problems == nil:
			if diff := cmp.Diff(want.validators, c.Validators); diff != "" {
				t.Errorf("%s: validators (-want +got):\n%s", text, diff)
			}
		}
	}
}

func TestSnapshotNeedsACluster(t *testing.T) {
	cfg, problems := config.Parse[Config]("f", []byte("apiVersion: gatefold.dev/v1alpha1\nkind: ValidatorConfig\nsnapshot: {}\n"), config.ValidatorConfig)
	if problems != nil {
		t.Fatal(problems)
	}
	err := Run(t.Context(), Options{Config: cfg, Telemetry: telemetry.Discard()})
	if !errors.Is(err, config.ErrUnusable) || !strings.Contains(err.Error(), "start the validator with --kubeconfig") {
		t.Errorf("%v", err)
	}
}
