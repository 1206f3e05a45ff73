package profile

import (
	"slices"
	"strings"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

// Names are containers that are to be left alone.
type Names []string

// SplitNames reads names that are separated by separator, with blanks around them.
func SplitNames(text, separator string) Names {
	var names Names
	for name := range strings.SplitSeq(text, separator) {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Has tells whether c is among them.
func (n Names) Has(c *pod.Container) bool {
	return slices.ContainsFunc(n, c.Is)
}

// NoteUnknown says which of the names, from the pod's annotation of this key, the pod does not have: the
// first few of them, since an annotation has room for thousands. p is open.
func (n Names) NoteUnknown(a *Answer, policy Policy, key string, p *pod.Pod) {
	const few = 3
	unknown := 0
	for _, name := range n {
		if p.HasContainer(name) {
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
