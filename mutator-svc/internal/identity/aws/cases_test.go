package aws_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
)

// testCase is a document of testdata/cases, see testdata/README.md.
type testCase struct {
	Name           string            `json:"name"`
	Config         aws.Config        `json:"config"`
	ServiceAccount map[string]string `json:"serviceAccount"` // annotations; nil: there is none
	Pod            map[string]any    `json:"pod"`
	Want           struct {
		Unchanged  bool                 `json:"unchanged"`
		Volumes    []string             `json:"volumes"`
		Containers map[string]container `json:"containers"`
		Warnings   []string             `json:"warnings"`
		Operations []string             `json:"operations"` // paths; nil: not compared
		Untouched  []string             `json:"untouched"`  // pointers
	} `json:"want"`
}

type container struct {
	Env    []string `json:"env"`
	Mounts []string `json:"mounts"`
}

func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		for _, tc := range readCases(t, file) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml")+"/"+tc.Name, tc.run)
		}
	}
}

func readCases(t *testing.T, file string) []testCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return cases
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		text, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var tc testCase
		if err := kubeyaml.UnmarshalStrict(text, &tc); err != nil {
			t.Fatalf("%s: %v in\n%s", file, err, text)
		}
		cases = append(cases, tc)
	}
}

func (tc testCase) run(t *testing.T) {
	tc.Config.SetDefaults()
	if errs := tc.Config.Validate(field.NewPath("aws")); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	var sa *corev1.ServiceAccount
	if tc.ServiceAccount != nil {
		sa = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "reader", Annotations: tc.ServiceAccount,
		}}
	}
	tc.Pod["spec"].(map[string]any)["serviceAccountName"] = "reader"
	before, err := json.Marshal(tc.Pod)
	if err != nil {
		t.Fatal(err)
	}
	got := inject(t, tc.Config, sa, before)

	if diff := cmp.Diff(tc.Want.Warnings, got.warnings, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	for _, warning := range got.warnings {
		if len(warning) > 120 {
			t.Errorf("warning of %d bytes, want at most 120: %s", len(warning), warning)
		}
	}
	if tc.Want.Unchanged {
		if len(got.operations) > 0 {
			t.Errorf("operations %v, want none", got.operations)
		}
		return
	}
	assertNothingLost(t, "", decode(t, before), decode(t, got.object))
	var paths []string
	for _, op := range got.operations {
		paths = append(paths, op.GetPath())
		for _, untouched := range tc.Want.Untouched {
			if op.GetPath() == untouched || strings.HasPrefix(op.GetPath(), untouched+"/") {
				t.Errorf("operation on %s, want %s untouched", op.GetPath(), untouched)
			}
		}
	}
	if tc.Want.Operations != nil {
		if diff := cmp.Diff(tc.Want.Operations, paths); diff != "" {
			t.Errorf("paths (-want +got):\n%s", diff)
		}
	}
	volumes, containers := summary(t, got.object)
	if diff := cmp.Diff(tc.Want.Volumes, volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tc.Want.Containers, containers, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

// summary puts the pod into the short form of the cases.
func summary(t *testing.T, object []byte) (volumes []string, containers map[string]container) {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(object, &pod); err != nil {
		t.Fatal(err)
	}
	for _, v := range pod.Spec.Volumes {
		text := v.Name
		if v.Projected != nil {
			token := v.Projected.Sources[0].ServiceAccountToken
			text += fmt.Sprintf(" %s %ds %s", token.Audience, *token.ExpirationSeconds, token.Path)
		}
		volumes = append(volumes, text)
	}
	containers = map[string]container{}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		var short container
		for _, e := range c.Env {
			text := e.Name
			if e.ValueFrom == nil {
				text += "=" + e.Value
			}
			short.Env = append(short.Env, text)
		}
		for _, m := range c.VolumeMounts {
			text := m.Name + " at " + m.MountPath
			if m.ReadOnly {
				text += " ro"
			}
			short.Mounts = append(short.Mounts, text)
		}
		containers[c.Name] = short
	}
	return volumes, containers
}
