package pod

import (
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk"
)

// Variable is a variable with this value, to be put into containers.
func Variable(name, value string) Element {
	return encoded(name, corev1.EnvVar{Name: name, Value: value})
}

// Mount is m, to be put into containers. It is found again by the volume that it mounts.
func Mount(m corev1.VolumeMount) Element { return encoded(m.Name, m) }

// Volume is v, to be put into a pod.
func Volume(v corev1.Volume) Element { return encoded(v.Name, v) }

// volumes is where a pod has them.
func volumes() place { return place{list: "/spec/volumes"} }

// HasVolume tells whether the pod has a volume of this name, of whatever type.
func (p *Pod) HasVolume(name string) bool { return p.volumes.find(name) >= 0 }

// PrependVolume makes volume the first of the pod's volumes.
func (p *Pod) PrependVolume(patch *sdk.Patch, volume Element) {
	p.volumes.prepend(patch, volumes(), volume)
}

// AppendVolume makes volume the last of the pod's volumes.
func (p *Pod) AppendVolume(patch *sdk.Patch, volume Element) {
	p.volumes.append(patch, volumes(), volume)
}

// SetVolume puts volume in the place of the one of its name, or after all.
func (p *Pod) SetVolume(patch *sdk.Patch, volume Element) { p.volumes.set(patch, volumes(), volume) }

// All are the pod's containers, init containers first. A null among them is passed over: there is
// nothing to add to, and kube-apiserver refuses such a pod. The pod's lists of containers must not be
// changed meanwhile; the containers may.
func (p *Pod) All() iter.Seq[*Container] {
	return func(yield func(*Container) bool) {
		for _, list := range [][]*Container{p.initContainers.items, p.containers.items} {
			for _, c := range list {
				if c != nil && !yield(c) {
					return
				}
			}
		}
	}
}

// HasInitContainer tells whether one of the pod's init containers has this name.
func (p *Pod) HasInitContainer(name string) bool { return p.initContainers.find(name) >= 0 }

// HasMainContainer tells whether one of the pod's containers that are not init containers has this name.
func (p *Pod) HasMainContainer(name string) bool { return p.containers.find(name) >= 0 }

// PrependInitContainer makes c the first of the pod's init containers.
func (p *Pod) PrependInitContainer(patch *sdk.Patch, c corev1.Container) {
	p.initContainers.insert(patch, 0, c)
}

// AppendInitContainer makes c the last of the pod's init containers.
func (p *Pod) AppendInitContainer(patch *sdk.Patch, c corev1.Container) {
	p.initContainers.insert(patch, len(p.initContainers.items), c)
}

// SetInitContainer puts c in the place of the init container of its name, or before all. One that has
// all that c has stays: what it has besides has been added since, such as kube-apiserver's defaults, the
// resources of a LimitRange, or another webhook's variables after those of c.
func (p *Pod) SetInitContainer(patch *sdk.Patch, c corev1.Container) {
	if i := p.initContainers.find(c.Name); i >= 0 {
		p.initContainers.replace(patch, i, c)
		return
	}
	p.initContainers.insert(patch, 0, c)
}

// PrependMainContainer makes c the first of the pod's containers.
func (p *Pod) PrependMainContainer(patch *sdk.Patch, c corev1.Container) {
	p.containers.insert(patch, 0, c)
}

// ContainerNames are the names of the pod's containers, init containers included.
func (p *Pod) ContainerNames() map[string]bool {
	names := map[string]bool{}
	for c := range p.All() {
		names[string(c.name)] = true
	}
	return names
}

// In tells whether the container's name is in a set.
func (c *Container) In(names map[string]bool) bool { return names[string(c.name)] }

// Is tells whether name is the container's name.
func (c *Container) Is(name string) bool { return string(c.name) == name }

// HasAnyEnv tells whether the container sets one of these variables by itself, to whatever value. What
// envFrom would bring is not known here.
func (c *Container) HasAnyEnv(vars ...Element) bool {
	return slices.ContainsFunc(vars, func(v Element) bool { return c.env.same(v) >= 0 })
}

// AppendEnv adds variables after those that the container has, in this order.
func (c *Container) AppendEnv(patch *sdk.Patch, vars ...Element) {
	c.env.append(patch, c.at("/env"), vars...)
}

// AppendMissingEnv adds those variables that the container does not set by itself, in this order.
func (c *Container) AppendMissingEnv(patch *sdk.Patch, vars ...Element) {
	if !c.HasAnyEnv(vars...) {
		c.AppendEnv(patch, vars...)
		return
	}
	missing := make([]Element, 0, len(vars))
	for _, v := range vars {
		if !c.HasAnyEnv(v) {
			missing = append(missing, v)
		}
	}
	c.AppendEnv(patch, missing...)
}

// SetEnv puts v in the place of the first variable of its name, or after all.
func (c *Container) SetEnv(patch *sdk.Patch, v Element) { c.env.set(patch, c.at("/env"), v) }

// HasMount tells whether the container mounts the volume of this name, wherever.
func (c *Container) HasMount(volume string) bool { return c.mounts.find(volume) >= 0 }

// AppendMount adds a mount after those that the container has.
func (c *Container) AppendMount(patch *sdk.Patch, mount Element) {
	c.mounts.append(patch, c.at("/volumeMounts"), mount)
}

// SetMount puts mount in the place of the first mount of its volume, or after all.
func (c *Container) SetMount(patch *sdk.Patch, mount Element) {
	c.mounts.set(patch, c.at("/volumeMounts"), mount)
}
