package sdk

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// BenchmarkDiff is a pod as applications have them, with one label added.
func BenchmarkDiff(b *testing.B) {
	pod := corev1.Pod{}
	pod.Name = "p"
	for _, name := range []string{"app", "proxy", "agent"} {
		c := corev1.Container{Name: name, Image: "registry.example.com/" + name + ":v1"}
		for _, env := range []string{"A", "B", "C", "D", "E", "F", "G", "H"} {
			c.Env = append(c.Env, corev1.EnvVar{Name: env, Value: "value of " + env})
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: env, MountPath: "/mnt/" + env})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	raw, err := json.Marshal(pod)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("unchanged", func(b *testing.B) { benchmark(b, raw, &pod, 0) })
	pod.Labels = map[string]string{"team": "blue"}
	b.Run("a label", func(b *testing.B) { benchmark(b, raw, &pod, 1) })
}

func benchmark(b *testing.B, raw []byte, changed any, want int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if ops, err := diff(raw, changed); err != nil || len(ops) != want {
			b.Fatal(describe(ops), err)
		}
	}
}
