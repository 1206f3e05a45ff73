package pod_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	kubejson "sigs.k8s.io/json"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

func TestDecode(t *testing.T) {
	for name, tc := range map[string]struct {
		object string
		want   pod.Pod
	}{
		"null, absent and empty lists are told apart": {
			object: `{"spec":{"volumes":null,"containers":[{"name":"a","env":[],"volumeMounts":null},{"name":"b","env":[{"name":"X","value":"1"}]}]}}`,
			want: pod.Pod{Spec: pod.Spec{Containers: pod.Containers{
				{Name: "a", Env: []pod.Named{}},
				{Name: "b", Env: []pod.Named{{Name: "X"}}},
			}}},
		},
		"case matters": {
			object: `{"Spec":{"serviceAccountName":"x"},"spec":{"ServiceAccountName":"y"}}`,
		},
		"the last of two members wins as a whole": {
			object: `{"spec":{"serviceAccountName":"x","containers":[{"name":"a"}]},"spec":{"volumes":[]}}`,
			want:   pod.Pod{Spec: pod.Spec{Volumes: []pod.Named{}}},
		},
		"a null container keeps its place": {
			object: `{"spec":{"initContainers":[null,{"name":"b"}]}}`,
			want:   pod.Pod{Spec: pod.Spec{InitContainers: pod.Containers{nil, {Name: "b"}}}},
		},
		"invalid UTF-8 in a part that does not matter": {
			object: "{\"metadata\":{\"annotations\":{\"a\":\"\xff\"}},\"spec\":{\"hostname\":\"\xc3\"}}",
			want:   pod.Pod{Metadata: pod.Metadata{Annotations: map[string]string{"a": "\uFFFD"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pod.Decode([]byte(tc.object))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got, cmpopts.IgnoreUnexported(pod.Container{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, object := range map[string]string{
		"nothing":            ``,
		"half an object":     `{"spec":`,
		"two values":         `{} {}`,
		"containers as text": `{"spec":{"containers":"app"}}`,
		"a name as a number": `{"spec":{"containers":[{"name":1}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := pod.Decode([]byte(object)); err == nil {
				t.Errorf("decoded %v, want an error", got)
			}
		})
	}
}

// BenchmarkDecode sets the narrow view beside what it replaces.
func BenchmarkDecode(b *testing.B) {
	object, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name   string
		decode func() error
	}{
		{"view", func() error { _, err := pod.Decode(object); return err }},
		{"view by sigs.k8s.io/json", func() error { return kubejson.UnmarshalCaseSensitivePreserveInts(object, &pod.Pod{}) }},
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
