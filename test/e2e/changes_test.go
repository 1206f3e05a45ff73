package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// change is what one team's mutator does to a pod, whatever it is served by.
type change struct {
	name string // orders the changes, in registrations and behind the gate
	make func(*corev1.Pod)
	// observes is what the change depends on, for a gate that is told.
	observes []string
}

// changes are eight teams'. Each sees what those before it have made of the pod, and most of them depend on it.
func changes() []change {
	containers := func(pod *corev1.Pod, f func(*corev1.Container)) {
		for i := range pod.Spec.Containers {
			f(&pod.Spec.Containers[i])
		}
	}
	nothing := []string{"/metadata/name"} // which nobody changes; without observes it would be everything
	return []change{
		{"a-sidecar", func(pod *corev1.Pod) {
			pod.Spec.Containers = slices.Insert(pod.Spec.Containers, 0, corev1.Container{Name: "sidecar", Image: "registry.example.com/sidecar:1.0.0"})
		}, nothing},
		{"b-env", func(pod *corev1.Pod) {
			containers(pod, func(c *corev1.Container) { c.Env = append(c.Env, corev1.EnvVar{Name: "TEAM", Value: "payments"}) })
		}, []string{"/spec/containers/*/env"}},
		{"c-volume", func(pod *corev1.Pod) {
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}, nothing},
		{"d-labels", func(pod *corev1.Pod) {
			if pod.Labels == nil {
				pod.Labels = map[string]string{}
			}
			pod.Labels["example.com/cost-center"], pod.Labels["tier"] = "4711", "backend"
		}, []string{"/metadata/labels/example.com~1cost-center", "/metadata/labels/tier"}},
		{"e-mount", func(pod *corev1.Pod) {
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "ca", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "ca"}},
			}})
			containers(pod, func(c *corev1.Container) {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "ca", MountPath: "/etc/ca", ReadOnly: true})
			})
		}, []string{"/spec/containers/*/volumeMounts"}},
		{"f-toleration", func(pod *corev1.Pod) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: "spot", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
		}, nothing},
		{"g-count", func(pod *corev1.Pod) { pod.Labels["containers"] = fmt.Sprint(len(pod.Spec.Containers)) }, []string{"/spec/containers/*/name", "/metadata/labels/containers"}},
		{"h-summary", func(pod *corev1.Pod) {
			if pod.Annotations == nil {
				pod.Annotations = map[string]string{}
			}
			var all []string
			for _, key := range slices.Sorted(maps.Keys(pod.Labels)) {
				all = append(all, key+"="+pod.Labels[key])
			}
			pod.Annotations["example.com/all-labels"] = strings.Join(all, ",")
		}, []string{"/metadata/labels", "/metadata/annotations/example.com~1all-labels"}},
	}
}
