package pod

import (
	"slices"
	"strings"

	"github.com/gatefold/gatefold/sdk"
)

// texts is an object of texts, such as labels.
type texts struct {
	present bool
	members []member
}

type member struct{ key, value []byte }

func (s *scanner) texts() (t texts, err error) {
	t.members = make([]member, 0, room)
	t.present, err = s.members(func(name []byte) error {
		value, err := s.text()
		t.members = append(t.members, member{name, value})
		return err
	})
	return t, err
}

// get returns the last value of a key, as kube-apiserver does.
func (t texts) get(key string) (string, bool) {
	for _, m := range slices.Backward(t.members) {
		if string(m.key) == key {
			return string(m.value), true
		}
	}
	return "", false
}

func (t texts) under(prefix string) (found map[string]string) {
	for _, m := range t.members {
		if len(m.key) < len(prefix) || string(m.key[:len(prefix)]) != prefix {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[string(m.key[len(prefix):])] = string(m.value)
	}
	return found
}

// SetLabel gives the pod a label, in the place of one of this key.
func (p *Pod) SetLabel(patch *sdk.Patch, key, value string) {
	p.set(patch, &p.labels, "labels", key, value)
}

// SetAnnotation gives the pod an annotation, in the place of one of this key.
func (p *Pod) SetAnnotation(patch *sdk.Patch, key, value string) {
	p.set(patch, &p.annotations, "annotations", key, value)
}

func (p *Pod) set(patch *sdk.Patch, in *texts, field, key, value string) {
	value = strings.ToValidUTF8(value, "\uFFFD") // as it will be encoded
	if now, ok := in.get(key); ok && now == value {
		return
	}
	switch {
	case !p.metadata:
		patch.Add("/metadata", map[string]any{field: map[string]string{key: value}})
	case !in.present:
		patch.Add("/metadata/"+field, map[string]string{key: value})
	default:
		patch.Add(sdk.Pointer("metadata", field, key), value) // sets, also where there is one
	}
	p.metadata, in.present, in.members = true, true, append(in.members, member{[]byte(key), []byte(value)})
}
