package e2e

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const roleARN = "arn:aws:iam::111122223333:role/builder"

func testInjection(t *testing.T, w *world, g *gate) { injects(t, w, registration{gate: g}) }

func testInjectionV1beta1(t *testing.T, w *world, g *gate) {
	injects(t, w, registration{gate: g, reviewVersion: "v1beta1"})
}

func injects(t *testing.T, w *world, r registration) {
	ns := w.namespace(t, r)
	c := w.client(t, nil)
	must(c.createPod(t, ns, pod("job", func(p *corev1.Pod) {
		p.Spec.ServiceAccountName = "builder"
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "registry.example.com/init:1"}}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "MODE", Value: "test"}}
	})))(t)
	// Read back: what counts is what is stored.
	stored := must(c.CoreV1().Pods(ns).Get(t.Context(), "job", metav1.GetOptions{}))(t)

	wantLabels := map[string]string{"app": "job", "stamped-by": "gatefold", "team": "payments"}
	if diff := cmp.Diff(wantLabels, stored.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	volume := volumeNamed(t, stored, "aws-iam-token")
	expiration := int64(86400)
	wantSource := corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: "sts.amazonaws.com", ExpirationSeconds: &expiration, Path: "token",
		}}},
	}}
	if diff := cmp.Diff(wantSource, volume.VolumeSource); diff != "" {
		t.Errorf("token volume (-want +got):\n%s", diff)
	}
	aws := []corev1.EnvVar{
		{Name: "AWS_STS_REGIONAL_ENDPOINTS", Value: "regional"},
		{Name: "AWS_DEFAULT_REGION", Value: "us-west-2"},
		{Name: "AWS_REGION", Value: "us-west-2"},
		{Name: "AWS_ROLE_ARN", Value: roleARN},
		{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
	}
	for _, container := range []struct {
		corev1.Container
		before []corev1.EnvVar
	}{
		{stored.Spec.InitContainers[0], nil},
		{stored.Spec.Containers[0], []corev1.EnvVar{{Name: "MODE", Value: "test"}}},
	} {
		if diff := cmp.Diff(slices.Concat(container.before, aws), container.Env); diff != "" {
			t.Errorf("environment of %s (-want +got):\n%s", container.Name, diff)
		}
		mount := corev1.VolumeMount{Name: "aws-iam-token", ReadOnly: true, MountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount"}
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return cmp.Equal(m, mount) }) {
			t.Errorf("%s has no mount %v, but %v", container.Name, mount, container.VolumeMounts)
		}
	}
	if got := c.warnings.take(); len(got) != 0 {
		t.Errorf("warnings nobody should get: %q", got)
	}
}

func volumeNamed(t *testing.T, p *corev1.Pod, name string) corev1.Volume {
	t.Helper()
	i := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("the pod has no volume %s, but %v", name, p.Spec.Volumes)
	}
	return p.Spec.Volumes[i]
}
