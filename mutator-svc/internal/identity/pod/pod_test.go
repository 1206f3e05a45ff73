package pod_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	kubejson "sigs.k8s.io/json"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func open(t *testing.T, object string) *pod.Pod {
	t.Helper()
	p, err := pod.Decode([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecode(t *testing.T) {
	type view struct {
		Name, GenerateName, ServiceAccount string
		HostNetwork                        bool
		Windows                            bool
		Label                              string
		Annotations                        map[string]string
	}
	for name, tc := range map[string]struct {
		object string
		want   view
	}{
		"everything": {
			object: `{"apiVersion":"v1","metadata":{"labels":{"l":"1"},"name":"n","generateName":"g-","managedFields":[{"a":[]}],
				"annotations":{"a/x":"2","b/y":"3"}},"spec":{"nodeSelector":{"kubernetes.io/os":"windows"},"hostNetwork":true,"serviceAccountName":"s"},"status":{}}`,
			want: view{"n", "g-", "s", true, true, "1", map[string]string{"x": "2"}},
		},
		"nulls": {
			object: `{"metadata":{"labels":{"l":null},"name":null,"annotations":null},"spec":{"nodeSelector":null,"hostNetwork":null,"serviceAccountName":null}}`,
		},
		"nothing": {object: `{"metadata":null,"spec":null}`},
		"case matters": {
			object: `{"Spec":{"serviceAccountName":"x"},"spec":{"ServiceAccountName":"y"}}`,
		},
		"the last of two members wins as a whole": {
			object: `{"metadata":{"labels":{"l":"1"},"annotations":{"a/x":"1"}},"spec":{"serviceAccountName":"x"},"spec":{"hostNetwork":true},
				"metadata":{"annotations":{"a/x":"1","a/x":"2"}}}`,
			want: view{HostNetwork: true, Annotations: map[string]string{"x": "2"}},
		},
		"escapes": {
			object: `{"m\u0065tadata":{"l\u0061bels":{"\u006c":"\"\u00e9\""}},"spec":{"serviceAccountName":"\u0073"}}`,
			want:   view{ServiceAccount: "s", Label: `"é"`},
		},
		"invalid UTF-8 in a part that does not matter": {
			object: "{\"metadata\":{\"annotations\":{\"a/x\":\"1\"}},\"spec\":{\"hostname\":\"\xc3\"}}",
			want:   view{Annotations: map[string]string{"x": "1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := pod.Decode([]byte(tc.object))
			if err != nil {
				t.Fatal(err)
			}
			got := view{p.Name(), p.GenerateName(), p.ServiceAccount(), p.HostNetwork(), p.OnWindows(), "", p.AnnotationsUnder("a/")}
			got.Label, _ = p.Label("l")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, object := range map[string]string{
		"nothing":                 ``,
		"half an object":          `{"spec":`,
		"two values":              `{} {}`,
		"a list":                  `[]`,
		"a label that is no text": `{"metadata":{"labels":{"a":1}}}`,
		"a name as a number":      `{"metadata":{"name":1}}`,
		"labels as a text":        `{"metadata":{"labels":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := pod.Decode([]byte(object)); err == nil {
				t.Errorf("decoded %v, want an error", p)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, object := range map[string]string{
		"no spec":                  `{"metadata":{}}`,
		"containers as text":       `{"spec":{"containers":"app"}}`,
		"a container as a number":  `{"spec":{"containers":[1]}}`,
		"a container's name":       `{"spec":{"initContainers":[{"name":1}]}}`,
		"volumes as an object":     `{"spec":{"volumes":{}}}`,
		"variables as an object":   `{"spec":{"containers":[{"env":{}}]}}`,
		"a mount that is no mount": `{"spec":{"containers":[{"volumeMounts":["x"]}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := pod.Decode([]byte(object))
			if err != nil {
				t.Fatalf("%v; want it only when the pod is opened", err)
			}
			if err := p.Open(); err == nil {
				t.Error("no error")
			}
		})
	}
}

// Each change is applied to the JSON as kube-apiserver would, and made twice: the second time there is
// nothing to do.
func TestChanges(t *testing.T) {
	variable := pod.Variable("X", "1")
	mount := pod.Mount(corev1.VolumeMount{Name: "v", MountPath: "/m"})
	volume := pod.Volume(corev1.Volume{Name: "v"})
	first := func(p *pod.Pod) *pod.Container {
		for c := range p.All() {
			return c
		}
		return nil
	}
	setVariable := func(p *pod.Pod, patch *sdk.Patch) { first(p).SetEnv(patch, variable) }
	setMount := func(p *pod.Pod, patch *sdk.Patch) { first(p).SetMount(patch, mount) }
	setVolume := func(p *pod.Pod, patch *sdk.Patch) { p.SetVolume(patch, volume) }
	setLabel := func(p *pod.Pod, patch *sdk.Patch) { p.SetLabel(patch, "a/b", "1") }
	setInit := func(p *pod.Pod, patch *sdk.Patch) {
		p.SetInitContainer(patch, corev1.Container{Name: "i", Image: "y"})
		for c := range p.All() {
			c.SetEnv(patch, variable)
		}
	}
	for name, tc := range map[string]struct {
		change        func(*pod.Pod, *sdk.Patch)
		object, wants string
	}{
		"a variable where there is no list": {setVariable, `{"spec":{"containers":[{"z":[0]}]}}`, `{"spec":{"containers":[{"z":[0],"env":[{"name":"X","value":"1"}]}]}}`},
		"a variable where the list is null": {setVariable, `{"spec":{"containers":[null,{"env":null}]}}`, `{"spec":{"containers":[null,{"env":[{"name":"X","value":"1"}]}]}}`},
		"a variable after others":           {setVariable, `{"spec":{"containers":[{"env":[{"name":"Y","new":{}}]}]}}`, `{"spec":{"containers":[{"env":[{"name":"Y","new":{}},{"name":"X","value":"1"}]}]}}`},
		"the first of two variables of a name": {
			setVariable,
			`{"spec":{"containers":[{"env":[ {"name":"X","valueFrom":{}} , {"name":"X"} ]}]}}`,
			`{"spec":{"containers":[{"env":[{"name":"X","value":"1"},{"name":"X"}]}]}}`,
		},
		"the same variable":            {setVariable, `{"spec":{"containers":[{"env":[ {"value":"1" , "name":"X"}]}]}}`, `{"spec":{"containers":[{"env":[{"value":"1","name":"X"}]}]}}`},
		"a mount":                      {setMount, `{"spec":{"containers":[{}]}}`, `{"spec":{"containers":[{"volumeMounts":[{"name":"v","mountPath":"/m"}]}]}}`},
		"a mount of the same volume":   {setMount, `{"spec":{"containers":[{"volumeMounts":[{"name":"v","subPath":"x"}]}]}}`, `{"spec":{"containers":[{"volumeMounts":[{"name":"v","mountPath":"/m"}]}]}}`},
		"a volume where there is none": {setVolume, `{"spec":{}}`, `{"spec":{"volumes":[{"name":"v"}]}}`},
		"a volume of the same name":    {setVolume, `{"spec":{"volumes":[{"name":"a"},{"name":"v","emptyDir":{}}]}}`, `{"spec":{"volumes":[{"name":"a"},{"name":"v"}]}}`},
		"a volume with what kube-apiserver fills in": {
			func(p *pod.Pod, patch *sdk.Patch) {
				p.SetVolume(patch, pod.Volume(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					Sources: []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
						{Path: "p", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}},
					}}}},
				}}}))
			},
			`{"spec":{"volumes":[{"name":"v","projected":{"defaultMode":420,"sources":[{"downwardAPI":{"items":[{"path":"p","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}]}}]}}]}}`,
			`{"spec":{"volumes":[{"name":"v","projected":{"defaultMode":420,"sources":[{"downwardAPI":{"items":[{"path":"p","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}]}}]}}]}}`,
		},
		"a label without metadata":       {setLabel, `{"spec":{}}`, `{"metadata":{"labels":{"a/b":"1"}},"spec":{}}`},
		"a label without labels":         {setLabel, `{"metadata":{"labels":null},"spec":{}}`, `{"metadata":{"labels":{"a/b":"1"}},"spec":{}}`},
		"a label of another value":       {setLabel, `{"metadata":{"labels":{"a/b":"0","c":"d"}},"spec":{}}`, `{"metadata":{"labels":{"a/b":"1","c":"d"}},"spec":{}}`},
		"the first init container":       {setInit, `{"spec":{"containers":[{"name":"c"}]}}`, `{"spec":{"initContainers":[{"name":"i","image":"y","resources":{},"env":[{"name":"X","value":"1"}]}],"containers":[{"name":"c","env":[{"name":"X","value":"1"}]}]}}`},
		"an init container before all":   {setInit, `{"spec":{"initContainers":[{"name":"j"}]}}`, `{"spec":{"initContainers":[{"name":"i","image":"y","resources":{},"env":[{"name":"X","value":"1"}]},{"name":"j","env":[{"name":"X","value":"1"}]}]}}`},
		"an init container of this name": {setInit, `{"spec":{"initContainers":[{"name":"j"},{"name":"i","image":"x"}]}}`, `{"spec":{"initContainers":[{"name":"j","env":[{"name":"X","value":"1"}]},{"name":"i","image":"y","resources":{},"env":[{"name":"X","value":"1"}]}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var patch sdk.Patch
			p := open(t, tc.object)
			tc.change(p, &patch)
			ops, err := patch.Operations()
			if err != nil {
				t.Fatal(err)
			}
			changed := sdktest.Apply(t, []byte(tc.object), ops)
			if diff := cmp.Diff(decode(t, []byte(tc.wants)), decode(t, changed)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if name == "an init container of this name" || name == "the first init container" || name == "an init container before all" {
				return // it replaces what has been added to it since; whoever uses it says what to add
			}
			for which, again := range map[string]*pod.Pod{"the view": p, "a new view": open(t, string(changed))} {
				var patch sdk.Patch
				if tc.change(again, &patch); !patch.Empty() {
					t.Errorf("%s does not show the change: %v", which, patch)
				}
			}
		})
	}
}

func decode(t *testing.T, object []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(object, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// BenchmarkOpen sets the narrow view beside what it replaces.
func BenchmarkOpen(b *testing.B) {
	object, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name   string
		decode func() error
	}{
		{"decoded", func() error { _, err := pod.Decode(object); return err }},
		{"and opened", func() error {
			p, err := pod.Decode(object)
			if err == nil {
				err = p.Open()
			}
			return err
		}},
		{"core/v1 Pod by sigs.k8s.io/json", func() error {
			return kubejson.UnmarshalCaseSensitivePreserveInts(object, &corev1.Pod{})
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(object)))
			for b.Loop() {
				if err := way.decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
