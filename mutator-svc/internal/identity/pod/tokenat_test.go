package pod_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/sdk"
)

func TestHasTokenAt(t *testing.T) {
	for object, want := range map[string]bool{
		`{"spec":{"volumes":[{"name":"a","projected":{"sources":[{"secret":{}},{"serviceAccountToken":{"path":"p","newer":[1]}}]}}]}}`: true,
		`{"spec":{"volumes":[{"name":"a","projected":{"sources":[{"serviceAccountToken":{"path":"q"}}]}}]}}`:                           false,
		`{"spec":{"volumes":[{"name":"a","projected":{"sources":[{"secret":{"items":[{"path":"p"}]}}]}}]}}`:                            false,
		`{"spec":{"volumes":[{"name":"a","projected":{"Sources":[{"serviceAccountToken":{"path":"p"}}]}}]}}`:                           false,
		`{"spec":{"volumes":[null,{"projected":null},{"projected":{"sources":null}},{"projected":{"sources":[null]}}]}}`:               false,
		`{"spec":{"volumes":[{"projected":7}]}}`: false,
		`{"spec":{}}`:                            false,
	} {
		p := open(t, object)
		if got := p.HasTokenAt("p"); got != want {
			t.Errorf("%s: %v, want %v", object, got, want)
		}
		var patch sdk.Patch
		p.AppendVolume(&patch, pod.Volume(corev1.Volume{Name: "ours", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "p"}}},
		}}}))
		if !p.HasTokenAt("p") {
			t.Errorf("%s with our volume: false, want true", object)
		}
	}
}
