package pod

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk"
)

// All calls visit for each container of the pod, init containers first. A null among the containers is
// passed over: there is nothing to add to, and kube-apiserver refuses such a pod.
func (p *Pod) All(visit func(*Container)) {
	for _, list := range []Containers{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range list {
			if c != nil {
				visit(c)
			}
		}
	}
}

// HasVolume tells whether the pod has a volume of this name, of whatever type.
func (p *Pod) HasVolume(name string) bool { return has(p.Spec.Volumes, name) }

// PrependVolume makes volume the first of the pod's volumes.
func (p *Pod) PrependVolume(patch *sdk.Patch, volume corev1.Volume) {
	// "/spec/volumes/0" exists as a place to insert only where there is a list; a patch that does not
	// apply would fail the pod's creation whatever the failure policy.
	if p.Spec.Volumes == nil {
		patch.Add("/spec/volumes", []corev1.Volume{volume})
	} else {
		patch.Add("/spec/volumes/0", volume)
	}
	p.Spec.Volumes = slices.Insert(p.Spec.Volumes, 0, Named{volume.Name})
}

// HasEnv tells whether the container sets one of these variables by itself. What envFrom would bring is
// not known here.
func (c *Container) HasEnv(names ...string) bool {
	return slices.ContainsFunc(c.Env, func(e Named) bool { return slices.Contains(names, e.Name) })
}

// AppendEnv adds variables after those that the container has, in this order.
func (c *Container) AppendEnv(patch *sdk.Patch, vars ...corev1.EnvVar) {
	if len(vars) == 0 {
		return
	}
	if c.Env == nil {
		patch.Add(c.pointer+"/env", vars)
	} else {
		for _, v := range vars {
			patch.Add(c.pointer+"/env/-", v)
		}
	}
	for _, v := range vars {
		c.Env = append(c.Env, Named{v.Name})
	}
}

// HasMount tells whether the container mounts the volume of this name, wherever.
func (c *Container) HasMount(volume string) bool { return has(c.VolumeMounts, volume) }

// AppendMount adds a mount after those that the container has.
func (c *Container) AppendMount(patch *sdk.Patch, mount corev1.VolumeMount) {
	if c.VolumeMounts == nil {
		patch.Add(c.pointer+"/volumeMounts", []corev1.VolumeMount{mount})
	} else {
		patch.Add(c.pointer+"/volumeMounts/-", mount)
	}
	c.VolumeMounts = append(c.VolumeMounts, Named{mount.Name})
}

func (l Containers) locate(prefix string) {
	for i, c := range l {
		if c != nil {
			c.pointer = prefix + strconv.Itoa(i)
		}
	}
}

func has(list []Named, name string) bool {
	return slices.ContainsFunc(list, func(n Named) bool { return n.Name == name })
}
