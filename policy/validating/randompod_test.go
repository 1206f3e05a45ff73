package validating

import (
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// randomPod returns a pod that meets the restricted level, or one that sets nothing, with a few changes that
// may break any control of the Pod Security Standards. It need not be one that the API would take.
func randomPod(r *rand.Rand) *corev1.Pod {
	hardened := r.IntN(4) > 0
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"},
	}
	container := func(name string) corev1.Container {
		c := corev1.Container{Name: name, Image: "registry.k8s.io/pause:3.10"}
		if hardened {
			c.SecurityContext = &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}
		}
		return c
	}
	for _, name := range []string{"app", "proxy"}[:1+r.IntN(2)] {
		pod.Spec.Containers = append(pod.Spec.Containers, container(name))
	}
	for _, name := range []string{"setup", "sidecar"}[:r.IntN(3)] {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, container(name))
	}
	if r.IntN(4) == 0 {
		debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(container("debug"))}
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	}
	if hardened {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	}
	if r.IntN(4) == 0 { // these two relax other controls
		pod.Spec.HostUsers = new(r.IntN(4) == 0)
	}
	if r.IntN(8) == 0 {
		pod.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	}
	for range pick(r, 0, 1, 1, 2, 3, 6) {
		if r.IntN(3) == 0 {
			changePod(r, pod)
		} else {
			changeContainer(r, anyContainer(r, pod))
		}
	}
	return pod
}

func anyContainer(r *rand.Rand, pod *corev1.Pod) *corev1.Container {
	s := &pod.Spec
	var all []*corev1.Container
	for i := range s.InitContainers {
		all = append(all, &s.InitContainers[i])
	}
	for i := range s.Containers {
		all = append(all, &s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		all = append(all, (*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return pick(r, all...)
}

// changePod changes one thing of the pod that a control looks at.
func changePod(r *rand.Rand, pod *corev1.Pod) {
	s := &pod.Spec
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	sc := s.SecurityContext
	switch r.IntN(15) {
	case 0:
		s.HostNetwork = r.IntN(2) == 0
	case 1:
		s.HostPID = r.IntN(2) == 0
	case 2:
		s.HostIPC = r.IntN(2) == 0
	case 3:
		s.HostUsers = pick(r, nil, new(false), new(true))
	case 4:
		s.OS = &corev1.PodOS{Name: pick(r, corev1.Windows, corev1.Linux)}
	case 5, 6:
		s.Volumes = append(s.Volumes, corev1.Volume{Name: pick(r, "a", "b", "c"), VolumeSource: randomVolume(r)})
	case 7:
		sc.Sysctls = append(sc.Sysctls, corev1.Sysctl{Name: pick(r, "kernel.shm_rmid_forced", "net.ipv4.tcp_rmem",
			"net.ipv4.tcp_notsent_lowat", "kernel.msgmax", "net.core.somaxconn"), Value: "1"})
	case 8:
		sc.AppArmorProfile = randomAppArmor(r)
	case 9:
		pod.Annotations = map[string]string{
			"container.apparmor.security.beta.kubernetes.io/app":   pick(r, "unconfined", "localhost/x", "runtime/default", "", `a "b"`),
			"container.apparmor.security.beta.kubernetes.io/proxy": pick(r, "unconfined", "runtime/default"),
			"container.seccomp.security.alpha.kubernetes.io/app":   "unconfined", // means nothing any more
		}
	case 10:
		sc.SELinuxOptions = randomSELinux(r)
	case 11:
		sc.SeccompProfile = randomSeccomp(r)
	case 12:
		sc.WindowsOptions = randomWindows(r)
	case 13:
		sc.RunAsNonRoot = pick(r, nil, new(false), new(true))
	default:
		sc.RunAsUser = pick(r, nil, new(int64(0)), new(int64(1000)))
	}
}

// changeContainer changes one thing of a container that a control looks at.
func changeContainer(r *rand.Rand, c *corev1.Container) {
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	sc := c.SecurityContext
	switch r.IntN(15) {
	case 0:
		sc.Privileged = pick(r, nil, new(false), new(true))
	case 1:
		sc.AllowPrivilegeEscalation = pick(r, nil, new(false), new(true))
	case 2, 3:
		sc.Capabilities = pick(r, nil, &corev1.Capabilities{
			Drop: pick(r, nil, []corev1.Capability{"ALL"}, []corev1.Capability{"CHOWN"}, []corev1.Capability{"KILL", "ALL"}),
			Add: pick(r, nil, []corev1.Capability{"NET_BIND_SERVICE"}, []corev1.Capability{"CHOWN", "MKNOD"},
				[]corev1.Capability{"SYS_ADMIN"}, []corev1.Capability{"NET_RAW", "SYS_ADMIN", "NET_RAW"}, []corev1.Capability{"ALL"}),
		})
	case 4:
		sc.ProcMount = pick(r, nil, new(corev1.DefaultProcMount), new(corev1.UnmaskedProcMount), new(corev1.ProcMountType("Strange")))
	case 5:
		sc.AppArmorProfile = randomAppArmor(r)
	case 6:
		sc.SELinuxOptions = randomSELinux(r)
	case 7:
		sc.SeccompProfile = randomSeccomp(r)
	case 8:
		sc.WindowsOptions = randomWindows(r)
	case 9:
		sc.RunAsNonRoot = pick(r, nil, new(false), new(true))
	case 10:
		sc.RunAsUser = pick(r, nil, new(int64(0)), new(int64(1000)))
	case 11:
		for range r.IntN(3) {
			c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 80, HostPort: pick(r, int32(0), 80, 9, 443)})
		}
	case 12:
		probe := &corev1.Probe{ProbeHandler: randomHandler(r)}
		switch r.IntN(3) {
		case 0:
			c.LivenessProbe = probe
		case 1:
			c.ReadinessProbe = probe
		default:
			c.StartupProbe = probe
		}
	case 13:
		h := randomHandler(r)
		handler := &corev1.LifecycleHandler{HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}
		c.Lifecycle = pick(r, &corev1.Lifecycle{PostStart: handler}, &corev1.Lifecycle{PreStop: handler})
	default:
		c.SecurityContext = nil
	}
}

// handler is what a probe and a hook do alike.
type handler = corev1.ProbeHandler

func randomHandler(r *rand.Rand) handler {
	host, port := pick(r, "", "127.0.0.1", "example.com"), intstr.FromInt32(80)
	return pick(r, handler{HTTPGet: &corev1.HTTPGetAction{Host: host, Port: port}},
		handler{TCPSocket: &corev1.TCPSocketAction{Host: host, Port: port}},
		handler{Exec: &corev1.ExecAction{Command: []string{"true"}}},
		handler{GRPC: &corev1.GRPCAction{Port: 80}})
}

func randomAppArmor(r *rand.Rand) *corev1.AppArmorProfile {
	return pick(r, nil, &corev1.AppArmorProfile{Type: pick(r, corev1.AppArmorProfileTypeRuntimeDefault,
		corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeUnconfined, "Strange", "")})
}

func randomSELinux(r *rand.Rand) *corev1.SELinuxOptions {
	return pick(r, nil, &corev1.SELinuxOptions{
		Type:  pick(r, "", "container_t", "container_engine_t", "spc_t", "init_t"),
		User:  pick(r, "", "", "system_u"),
		Role:  pick(r, "", "", "system_r"),
		Level: pick(r, "", "s0"),
	})
}

func randomSeccomp(r *rand.Rand) *corev1.SeccompProfile {
	return pick(r, nil, &corev1.SeccompProfile{Type: pick(r, corev1.SeccompProfileTypeRuntimeDefault,
		corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeUnconfined, "Strange", "")})
}

func randomWindows(r *rand.Rand) *corev1.WindowsSecurityContextOptions {
	return pick(r, nil, &corev1.WindowsSecurityContextOptions{HostProcess: pick(r, nil, new(false), new(true))})
}

func randomVolume(r *rand.Rand) corev1.VolumeSource {
	return pick(r,
		corev1.VolumeSource{},
		corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}},
		corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}},
		corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}},
		corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{}},
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}},
		corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}},
		corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}},
		corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}},
		corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}},
		corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}},
		corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{}},
		corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}},
		corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{}},
		corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{}},
		corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{}},
		corev1.VolumeSource{FC: &corev1.FCVolumeSource{}},
	)
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }
