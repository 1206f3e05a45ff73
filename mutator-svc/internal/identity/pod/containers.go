package pod

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk"
)

// Container is what is read of a core/v1 Container. Native sidecars are among the init containers;
// ephemeral containers are not read: they are added by a subresource after the pod was created.
type Container struct {
	name   []byte
	env    list
	mounts list
	raw    jsontext.Value
	list   *containers
	index  int
}

// at is the place of a part of the container.
func (c *Container) at(part string) place { return place{c.list.at, c.index, part} }

// containers is a list of containers, in which a JSON null is nil.
type containers struct {
	at      string // its JSON pointer
	present bool
	items   []*Container
}

func (c *containers) read(s *scanner) (err error) {
	c.items = make([]*Container, 0, room) // of two members of one name the last counts
	c.present, err = s.elements(func() error {
		s.peek()
		one, start := &Container{}, s.at
		there, err := s.members(func(key []byte) (err error) {
			switch string(key) {
			case "name":
				one.name, err = s.text()
			case "env":
				err = one.env.read(s)
			case "volumeMounts":
				err = one.mounts.read(s)
			default:
				err = s.skip()
			}
			return err
		})
		if one.raw = s.source[start:s.at]; !there {
			one = nil
		}
		c.items = append(c.items, one)
		return err
	})
	c.locate()
	return err
}

// locate tells each container where it is.
func (c *containers) locate() {
	for i, one := range c.items {
		if one != nil {
			one.list, one.index = c, i
		}
	}
}

// find returns the index of the first container of this name, or -1.
func (c *containers) find(name string) int {
	return slices.IndexFunc(c.items, func(one *Container) bool { return one != nil && string(one.name) == name })
}

// insert puts a container before the one at index i, which may be the length of the list.
func (c *containers) insert(patch *sdk.Patch, i int, container corev1.Container) {
	one, value := made(container)
	switch {
	case !c.present:
		patch.Add(c.at, []any{value})
	case i == len(c.items):
		patch.Add(c.at+"/-", value)
	default:
		patch.Add(c.at+"/"+strconv.Itoa(i), value)
	}
	c.present, c.items = true, slices.Insert(c.items, i, one)
	c.locate()
}

// replace puts a container in the place of the one at index i, unless that has all of it.
func (c *containers) replace(patch *sdk.Patch, i int, container corev1.Container) {
	one, value := made(container)
	if covers(c.items[i].raw, one.raw) {
		return
	}
	patch.Replace(c.at+"/"+strconv.Itoa(i), value)
	c.items[i] = one
	c.locate()
}

// made is the view of a container that is put into the pod, and the value that is put there.
func made(container corev1.Container) (*Container, any) {
	whole := encoded(container.Name, container)
	one := &Container{name: whole.name, raw: whole.raw}
	for _, v := range container.Env {
		one.env.present, one.env.items = true, append(one.env.items, encoded(v.Name, v).item)
	}
	for _, m := range container.VolumeMounts {
		one.mounts.present, one.mounts.items = true, append(one.mounts.items, encoded(m.Name, m).item)
	}
	return one, whole.value
}
