package pod

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk"
)

// Element is a value to put into one of the pod's lists, encoded once for however many containers it
// goes into. It may be used concurrently.
type Element struct {
	item
	value any // raw; or what could not be encoded, and fails the patch that it is added to
}

func encoded(name string, value any) Element {
	raw, err := json.Marshal(value)
	if err != nil {
		return Element{item{name: []byte(name)}, value}
	}
	return Element{item{[]byte(name), raw}, json.RawMessage(raw)}
}

// list is a list of the pod whose elements are told apart by their name: volumes, variables, and mounts,
// whose name is that of the volume.
type list struct {
	present bool // even if empty; an absent list has to be made before anything can be put into it
	items   []item
}

// room is how many elements most lists have, with those that are added.
const room = 8

type item struct {
	name []byte
	raw  jsontext.Value // the whole element
}

func (l *list) read(s *scanner) (err error) {
	l.items = make([]item, 0, room) // of two members of one name the last counts
	l.present, err = s.elements(func() error {
		s.peek()
		it, start := item{}, s.at
		_, err := s.members(func(key []byte) (err error) {
			if string(key) == "name" {
				it.name, err = s.text()
				return err
			}
			return s.skip()
		})
		it.raw = s.source[start:s.at]
		l.items = append(l.items, it)
		return err
	})
	return err
}

// find returns the index of the first element of this name, or -1.
func (l *list) find(name string) int {
	return slices.IndexFunc(l.items, func(it item) bool { return string(it.name) == name })
}

// place is where a list is: in the pod, or a part of a container.
type place struct {
	list  string // JSON pointer of the list, or of the list of containers
	index int    // of the container
	part  string // of the container; empty: it is the list itself
}

// pointer returns the JSON pointer of what suffix, such as "/-", names in the list.
func (p place) pointer(suffix string) string {
	if p.part == "" {
		return p.list + suffix
	}
	return p.list + "/" + strconv.Itoa(p.index) + p.part + suffix
}

// same returns the index of the first element of e's name, or -1.
func (l *list) same(e Element) int {
	return slices.IndexFunc(l.items, func(it item) bool { return bytes.Equal(it.name, e.name) })
}

// prepend makes e the first element.
func (l *list) prepend(patch *sdk.Patch, at place, e Element) {
	// ".../0" exists as a place to insert only where there is a list; a patch that does not apply would
	// fail the pod's creation whatever the failure policy.
	if !l.present {
		l.append(patch, at, e)
		return
	}
	patch.Add(at.pointer("/0"), e.value)
	l.items = slices.Insert(l.items, 0, e.item)
}

// append adds elements after those that are there, in this order.
func (l *list) append(patch *sdk.Patch, at place, add ...Element) {
	switch {
	case len(add) == 0:
		return
	case l.present:
		end := at.pointer("/-")
		for _, e := range add {
			patch.Add(end, e.value)
		}
	default:
		patch.Add(at.pointer(""), joined(add))
	}
	l.present = true
	for _, e := range add {
		l.items = append(l.items, e.item)
	}
}

// set puts e in the place of the first element of its name, or after all.
func (l *list) set(patch *sdk.Patch, at place, e Element) {
	i := l.same(e)
	if i < 0 {
		l.append(patch, at, e)
		return
	}
	if !equal(l.items[i].raw, e.raw) {
		patch.Replace(at.pointer("/"+strconv.Itoa(i)), e.value)
		l.items[i] = e.item
	}
}

// joined is a list of elements.
func joined(elements []Element) any {
	size := 2
	for _, e := range elements {
		size += len(e.raw) + 1
	}
	list := append(make([]byte, 0, size), '[')
	for i, e := range elements {
		if e.raw == nil {
			return e.value
		}
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, e.raw...)
	}
	return json.RawMessage(append(list, ']'))
}

// equal tells whether two JSON values mean the same, to kube-apiserver too: when a pod comes a second time
// it has filled in what was left out.
func equal(a, b []byte) bool {
	var left, right any
	return json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil && reflect.DeepEqual(plain(left), plain(right))
}

// plain leaves out what kube-apiserver fills into volumes and variables (SetDefaults of core/v1).
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if v["defaultMode"] == float64(corev1.ProjectedVolumeSourceDefaultMode) {
			delete(v, "defaultMode")
		}
		if v["fieldPath"] != nil && v["apiVersion"] == "v1" {
			delete(v, "apiVersion")
		}
		for key := range v {
			v[key] = plain(v[key])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return value
}
