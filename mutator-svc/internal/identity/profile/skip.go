package profile

import (
	"strings"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

// Names are containers that are to be left alone. The empty name is that of containers without one.
type Names struct {
	list []string // each once, and none that is empty
	set  map[string]bool
}

// NewNames returns Names of a list.
func NewNames(list []string) Names {
	n := Names{set: make(map[string]bool, len(list))}
	for _, name := range list {
		if name != "" && !n.set[name] {
			n.list = append(n.list, name)
		}
		n.set[name] = true
	}
	return n
}

// SplitNames reads names that are separated by separator, with blanks around them.
func SplitNames(text, separator string) Names {
	names := strings.Split(text, separator)
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
	}
	return NewNames(names)
}

// NoteMisplaced says that the annotation of this key does nothing on a ServiceAccount, whose annotations these
// are, where it has it.
func NoteMisplaced(a *Answer, policy Policy, annotations map[string]string, key string) {
	if _, ok := annotations[key]; ok {
		a.Note(policy, "%s of the ServiceAccount is not read; put it on the pod", shortKey(key))
	}
}

// Has tells whether c is among them.
func (n Names) Has(c *pod.Container) bool { return len(n.set) > 0 && c.In(n.set) }

// NoteUnknown says which of the names, from the pod's annotation of this key, the pod does not have: the
// first few of them, since an annotation has room for thousands. p is open.
func (n Names) NoteUnknown(a *Answer, policy Policy, key string, p *pod.Pod) {
	const few = 3
	if len(n.list) == 0 {
		return
	}
	known, unknown := p.ContainerNames(), 0
	for _, name := range n.list {
		if known[name] {
			continue
		}
		if unknown++; unknown <= few {
			a.Note(policy, "%s names %.30q, and the pod has no such container", key, name)
		}
	}
	if unknown > few {
		a.Note(policy, "%s names %d more that the pod does not have", key, unknown-few)
	}
}
