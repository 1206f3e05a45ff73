package identitytest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// testCase is a document of testdata/cases.
type testCase struct {
	Name           string            `json:"name"`
	Config         any               `json:"config"`         // of the profile
	ServiceAccount map[string]string `json:"serviceAccount"` // annotations; nil: there is none
	Pod            map[string]any    `json:"pod"`
	ServerVersion  string            `json:"serverVersion"` // empty: the cluster is not live
	Want           struct {
		Unchanged   bool                 `json:"unchanged"`
		Denied      string               `json:"denied"` // the message
		Labels      map[string]string    `json:"labels"` // nil: as they were
		Annotations map[string]string    `json:"annotations"`
		Volumes     []string             `json:"volumes"`
		Containers  map[string]container `json:"containers"`
		Init        []string             `json:"init"` // names in order; nil: not compared
		Main        []string             `json:"main"`
		Warnings    []string             `json:"warnings"`
		Operations  []string             `json:"operations"` // paths; nil: not compared
		Untouched   []string             `json:"untouched"`  // pointers
		Replaced    []string             `json:"replaced"`   // names of what may be replaced
	} `json:"want"`
}

type container struct {
	Env    []string `json:"env"`
	Mounts []string `json:"mounts"`
}

// Cases runs the cases of testdata/cases for the profile of this name.
func Cases(t *testing.T, profile string) {
	sdktest.Cases(t, "testdata/cases/*.yaml", func(t *testing.T, tc testCase) { tc.run(t, profile) })
}

// decodeConfig returns the configuration in which only this profile is configured, by what was decoded from
// YAML; nil: with its defaults.
func decodeConfig(t *testing.T, profile string, decoded any) (cfg identity.Config) {
	t.Helper()
	if decoded == nil {
		decoded = map[string]any{}
	}
	text, err := json.Marshal(map[string]any{profile: decoded})
	if err != nil {
		t.Fatal(err)
	}
	if err := kubeyaml.UnmarshalStrict(text, &cfg); err != nil {
		t.Fatalf("config: %v", err)
	}
	return cfg
}

func (tc testCase) run(t *testing.T, profile string) {
	const name = "reader"
	var known One
	if tc.ServiceAccount != nil {
		known.ServiceAccount = ServiceAccount(name, tc.ServiceAccount)
	}
	if spec, ok := tc.Pod["spec"].(map[string]any); ok && spec["serviceAccountName"] == nil {
		spec["serviceAccountName"] = name
	}
	before, err := json.Marshal(tc.Pod)
	if err != nil {
		t.Fatal(err)
	}
	got := Inject(t, New(t, decodeConfig(t, profile, tc.Config), identity.Sources{ServiceAccounts: known, ServerVersion: Version(tc.ServerVersion)}), before)

	if diff := cmp.Diff(tc.Want.Warnings, got.Warnings, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	for _, warning := range got.Warnings {
		if len(warning) > 120 {
			t.Errorf("warning of %d bytes, want at most 120: %s", len(warning), warning)
		}
	}
	if diff := cmp.Diff(tc.Want.Denied, got.Denial.GetMessage()); diff != "" {
		t.Errorf("denial (-want +got):\n%s", diff)
	}
	if got.Denial != nil {
		return
	}
	if tc.Want.Unchanged {
		if len(got.Operations) > 0 {
			t.Errorf("operations %v, want none", got.Operations)
		}
		return
	}
	tc.compare(t, before, got)
}

func (tc testCase) compare(t *testing.T, before []byte, got Answer) {
	sdktest.NothingLost(t, before, got.Object, tc.Want.Replaced...)
	var paths []string
	for _, op := range got.Operations {
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
	var pod corev1.Pod
	if err := json.Unmarshal(got.Object, &pod); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name      string
		want, got map[string]string
	}{{"labels", tc.Want.Labels, pod.Labels}, {"annotations", tc.Want.Annotations, pod.Annotations}} {
		if diff := cmp.Diff(part.want, part.got); part.want != nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", part.name, diff)
		}
	}
	volumes, containers := summary(pod)
	if diff := cmp.Diff(tc.Want.Volumes, volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tc.Want.Containers, containers, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	for _, list := range []struct {
		name string
		want []string
		got  []corev1.Container
	}{{"init containers", tc.Want.Init, pod.Spec.InitContainers}, {"containers", tc.Want.Main, pod.Spec.Containers}} {
		var names []string
		for _, c := range list.got {
			names = append(names, c.Name)
		}
		if diff := cmp.Diff(list.want, names); list.want != nil && diff != "" {
			t.Errorf("order of %s (-want +got):\n%s", list.name, diff)
		}
	}
}

// summary puts the pod into the short form of the cases.
func summary(pod corev1.Pod) (volumes []string, containers map[string]container) {
	for _, v := range pod.Spec.Volumes {
		volumes = append(volumes, v.Name+sources(v))
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

// sources is what is in a projected volume: of a token its audience, its life and its path, of what else
// there is the name and the path.
func sources(v corev1.Volume) (text string) {
	if v.Projected == nil {
		return ""
	}
	for _, source := range v.Projected.Sources {
		if token := source.ServiceAccountToken; token != nil {
			text += fmt.Sprintf(" %s %ds %s", token.Audience, *token.ExpirationSeconds, token.Path)
		}
		if from := source.ConfigMap; from != nil {
			for _, item := range from.Items {
				text += fmt.Sprintf(" %s/%s %s", from.Name, item.Key, item.Path)
			}
		}
		if from := source.ClusterTrustBundle; from != nil && from.SignerName != nil {
			text += fmt.Sprintf(" %s %s %s", *from.SignerName, metav1.FormatLabelSelector(from.LabelSelector), from.Path)
		}
	}
	if v.Projected.DefaultMode != nil {
		text += fmt.Sprintf(" %#o", *v.Projected.DefaultMode)
	}
	return text
}
