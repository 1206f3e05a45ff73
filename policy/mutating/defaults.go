package mutating

import (
	"cmp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

// setBuiltInDefaults sets the defaults that a mutation may leave out of what it adds, and a later one reads: those
// within pods, also where they are templates, and the ports of services. It restates some of k8s.io/kubernetes
// pkg/apis/core/v1/defaults.go, which no module exports. Other kinds are left as they are.
func setBuiltInDefaults(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.Pod:
		setPodSpecDefaults(&o.Spec)
		for _, containers := range [][]corev1.Container{o.Spec.Containers, o.Spec.InitContainers} {
			for i := range containers {
				setRequestDefaults(&containers[i], o.Spec.HostNetwork)
			}
		}
		setDefault(&o.Spec.EnableServiceLinks, true)
	case *corev1.PodTemplate:
		setPodSpecDefaults(&o.Template.Spec)
	case *corev1.ReplicationController:
		if o.Spec.Template != nil {
			setPodSpecDefaults(&o.Spec.Template.Spec)
		}
	case *appsv1.Deployment:
		setPodSpecDefaults(&o.Spec.Template.Spec)
	case *appsv1.StatefulSet:
		setPodSpecDefaults(&o.Spec.Template.Spec)
	case *appsv1.DaemonSet:
		setPodSpecDefaults(&o.Spec.Template.Spec)
	case *appsv1.ReplicaSet:
		setPodSpecDefaults(&o.Spec.Template.Spec)
	case *batchv1.Job:
		setPodSpecDefaults(&o.Spec.Template.Spec)
	case *batchv1.CronJob:
		setPodSpecDefaults(&o.Spec.JobTemplate.Spec.Template.Spec)
	case *corev1.Service:
		for i := range o.Spec.Ports {
			p := &o.Spec.Ports[i]
			p.Protocol = cmp.Or(p.Protocol, corev1.ProtocolTCP)
			if p.TargetPort == (intstr.IntOrString{}) || p.TargetPort == intstr.FromString("") {
				p.TargetPort = intstr.FromInt32(p.Port)
			}
		}
	}
}

// addition is an object that has been given its defaults.
type addition struct{ without, with runtime.Object }

// withoutAdded takes out of object, the result, the defaults that were added for policies to see. They are
// kube-apiserver's to set: as a patch they would be a change of the backend's, perhaps where it may not patch.
func (e *evaluation) withoutAdded(object runtime.Object) runtime.Object {
	if len(e.added) == 0 {
		return object
	}
	content := contentOf(object)
	for _, a := range e.added {
		withoutDefaults(content, contentOf(a.with), contentOf(a.without))
	}
	bare, err := scheme.Scheme.New(e.kind.gvk)
	if err != nil || runtime.DefaultUnstructuredConverter.FromUnstructured(content, bare) != nil {
		return object
	}
	// Items of lists may have moved: what would not come out the same stays as it is.
	if !sameWithDefaults(bare.DeepCopyObject(), object.DeepCopyObject()) {
		return object
	}
	return bare
}

func sameWithDefaults(a, b runtime.Object) bool {
	setBuiltInDefaults(a)
	setBuiltInDefaults(b)
	return equal(a, b)
}

// contentOf is a Go type of k8s.io/api as a map, into which each of them can be turned.
func contentOf(object runtime.Object) map[string]any {
	content, _ := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	return content
}

func setPodSpecDefaults(s *corev1.PodSpec) {
	s.DNSPolicy = cmp.Or(s.DNSPolicy, corev1.DNSClusterFirst)
	s.RestartPolicy = cmp.Or(s.RestartPolicy, corev1.RestartPolicyAlways)
	s.SchedulerName = cmp.Or(s.SchedulerName, corev1.DefaultSchedulerName)
	setDefault(&s.SecurityContext, corev1.PodSecurityContext{})
	setDefault(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	for i := range s.Volumes {
		setVolumeDefaults(&s.Volumes[i].VolumeSource)
	}
	for _, containers := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range containers {
			setContainerDefaults(&containers[i])
		}
	}
	for i := range s.EphemeralContainers {
		setContainerDefaults((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

func setContainerDefaults(c *corev1.Container) {
	c.ImagePullPolicy = cmp.Or(c.ImagePullPolicy, pullPolicy(c.Image))
	c.TerminationMessagePath = cmp.Or(c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	c.TerminationMessagePolicy = cmp.Or(c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		c.Ports[i].Protocol = cmp.Or(c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			setFieldDefaults(from.FieldRef)
		}
	}
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe == nil {
			continue
		}
		probe.TimeoutSeconds = cmp.Or(probe.TimeoutSeconds, 1)
		probe.PeriodSeconds = cmp.Or(probe.PeriodSeconds, 10)
		probe.SuccessThreshold = cmp.Or(probe.SuccessThreshold, 1)
		probe.FailureThreshold = cmp.Or(probe.FailureThreshold, 3)
		setHTTPDefaults(probe.HTTPGet)
		if probe.GRPC != nil {
			setDefault(&probe.GRPC.Service, "")
		}
	}
	if c.Lifecycle != nil {
		for _, handler := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if handler != nil {
				setHTTPDefaults(handler.HTTPGet)
			}
		}
	}
}

// setRequestDefaults asks for what a container is limited to, and for the ports of the host where its network is
// used. Only a pod has these defaults, and a template has not.
func setRequestDefaults(c *corev1.Container, hostNetwork bool) {
	if c.Resources.Limits != nil && c.Resources.Requests == nil {
		c.Resources.Requests = corev1.ResourceList{}
	}
	for name, limit := range c.Resources.Limits {
		if _, ok := c.Resources.Requests[name]; !ok {
			c.Resources.Requests[name] = limit.DeepCopy()
		}
	}
	for i := range c.Ports {
		if hostNetwork {
			c.Ports[i].HostPort = cmp.Or(c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
}

func setVolumeDefaults(v *corev1.VolumeSource) {
	switch {
	case *v == (corev1.VolumeSource{}):
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case v.Secret != nil:
		setDefault(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case v.ConfigMap != nil:
		setDefault(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case v.HostPath != nil:
		setDefault(&v.HostPath.Type, corev1.HostPathUnset)
	case v.DownwardAPI != nil:
		setDefault(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		setFileDefaults(v.DownwardAPI.Items)
	case v.Image != nil:
		v.Image.PullPolicy = cmp.Or(v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	case v.Projected != nil:
		setDefault(&v.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		for _, source := range v.Projected.Sources {
			if source.DownwardAPI != nil {
				setFileDefaults(source.DownwardAPI.Items)
			}
			if source.ServiceAccountToken != nil {
				setDefault(&source.ServiceAccountToken.ExpirationSeconds, 3600)
			}
		}
	}
}

func setFileDefaults(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		setFieldDefaults(items[i].FieldRef)
	}
}

func setFieldDefaults(f *corev1.ObjectFieldSelector) {
	if f != nil {
		f.APIVersion = cmp.Or(f.APIVersion, "v1")
	}
}

func setHTTPDefaults(g *corev1.HTTPGetAction) {
	if g != nil {
		g.Path, g.Scheme = cmp.Or(g.Path, "/"), cmp.Or(g.Scheme, corev1.URISchemeHTTP)
	}
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// pullPolicy pulls always what has the tag latest, also for want of another.
func pullPolicy(image string) corev1.PullPolicy {
	name, _, pinned := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || !tagged && !pinned && image != "" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}
