package pod_test

import (
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	kubejson "sigs.k8s.io/json"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

// What kube-apiserver can decode is seen here as it sees it; of anything else there is an end.
func FuzzDecode(f *testing.F) {
	object, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	for _, seed := range []string{
		`{"metadata":{"name":"a\"b","labels":{"x":"\\"}},"spec":{"serviceAccountName":"s","containers":[{"name":"c\\","env":[{"name":"E"}]},null]}}`,
		`{"spec":{"hostNetwork":true,"volumes":[{"name":"v"},null]},"spec":{"volumes":[]}}`,
		`{"spec":{"containers":[{"name":"a","name":"b","env":null,"volumeMounts":[{"name":"m"}]}]}} `,
		`{"spec":{"containers":[{"n":[[]],"o":{"p":"}"}}]}}`,
		`{"spec":`, `"`, `{"a" 1}`, `[`, `{"spec":{"containers":[}}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		p, err := pod.Decode(object)
		if err == nil {
			err = p.Open()
		}
		var typed corev1.Pod
		// Of two members of one name kube-apiserver merges the values; it never sends them.
		if !jsontext.Value(object).IsValid() || kubejson.UnmarshalCaseSensitivePreserveInts(object, &typed) != nil {
			return
		}
		if err != nil {
			if !strings.Contains(err.Error(), "no spec") { // no pod comes without
				t.Fatalf("%v, and kube-apiserver decodes it", err)
			}
			return
		}
		if diff := cmp.Diff(typed.Spec.ServiceAccountName, p.ServiceAccount()); diff != "" {
			t.Errorf("ServiceAccount (-kube-apiserver +view):\n%s", diff)
		}
		if typed.Spec.HostNetwork != p.HostNetwork() || typed.Name != p.Name() {
			t.Errorf("host network %t, name %q; want %t, %q", p.HostNetwork(), p.Name(), typed.Spec.HostNetwork, typed.Name)
		}
		for key, value := range typed.Annotations {
			if got, ok := p.Annotation(key); !ok || got != value {
				t.Errorf("annotation %q is %q, %t, want %q", key, got, ok, value)
			}
		}
		for _, v := range typed.Spec.Volumes {
			if v.Name != "" && !p.HasVolume(v.Name) {
				t.Errorf("volume %q is not seen", v.Name)
			}
		}
		for _, c := range append(typed.Spec.InitContainers, typed.Spec.Containers...) {
			if c.Name != "" && !p.ContainerNames()[c.Name] {
				t.Errorf("container %q is not seen", c.Name)
			}
		}
	})
}
