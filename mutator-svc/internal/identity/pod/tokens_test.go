package pod_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/sdk"
)

func TestTokens(t *testing.T) {
	hour := int64(3600)
	added := corev1.ServiceAccountTokenProjection{Audience: "b", ExpirationSeconds: &hour, Path: "p"}
	p := open(t, `{"spec":{"volumes":[null,{"name":"empty","emptyDir":{}},{"name":"bad","projected":{"sources":7}},{"name":"case","Projected":{}},
		{"name":"v","projected":{"defaultMode":420,"sources":[null,{"configMap":{}},{"serviceAccountToken":{"audience":"a","new":1}}]}}]}}`)
	p.AppendVolume(&sdk.Patch{}, pod.Volume(corev1.Volume{Name: "added", VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &added}}},
	}}))
	for volume, want := range map[string][]corev1.ServiceAccountTokenProjection{
		"v": {{Audience: "a"}}, "added": {added}, "empty": nil, "bad": nil, "case": nil, "absent": nil,
	} {
		if diff := cmp.Diff(want, p.Tokens(volume)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", volume, diff)
		}
	}
}

func TestMounts(t *testing.T) {
	p := open(t, `{"spec":{"containers":[{"name":"c","volumeMounts":[null,{"name":"odd","mountPath":7},{"name":"v","mountPath":"/a//b/"},
		{"name":"v","mountPath":"/c"},{"name":"w","mountPath":"/a/b"}]}]}}`)
	for c := range p.All() {
		if c.Name() != "c" {
			t.Errorf("name %q", c.Name())
		}
		for volume, want := range map[string]string{"v": "/a//b/", "w": "/a/b", "odd": ""} {
			if at, ok := c.MountPath(volume); !ok || at != want {
				t.Errorf("%s is mounted at %q, %t, want %q", volume, at, ok, want)
			}
		}
		if at, ok := c.MountPath("absent"); ok {
			t.Errorf("a volume that is not mounted is at %q", at)
		}
		for at, want := range map[string]string{"/a/b": "v", "/a/b/": "v", "/c": "v", "/a": "", "/a/b/c": ""} {
			if volume, ok := c.MountedAt(at); volume != want || ok != (want != "") {
				t.Errorf("at %s is %q, %t, want %q", at, volume, ok, want)
			}
		}
	}
}
