package labels

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/gatefold/gatefold/sdk"
)

// view is what is read of an object. Metadata is nil where it is absent or null.
type view struct {
	Metadata *metadata `json:"metadata"`
}

// metadata is what is read of it. Both maps are nil where they are absent or null.
type metadata struct {
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	DeletionTimestamp *jsontext.Value   `json:"deletionTimestamp"`
	OwnerReferences   jsontext.Value    `json:"ownerReferences"`
}

// UnmarshalJSONFrom starts afresh, so that the last of two "metadata" members wins as a whole, as it does
// for those who apply the patch.
func (m *metadata) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	type plain metadata
	*m = metadata{}
	return json.UnmarshalDecode(dec, (*plain)(m), decoding())
}

// decoding takes what kube-apiserver takes: names matter in their case, may come twice, and text need
// not be valid UTF-8.
func decoding() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// controlled tells whether the object has an owner that is its controller.
func (m *metadata) controlled() bool {
	type owner struct {
		Controller bool `json:"controller"`
	}
	var owners []owner
	if len(m.OwnerReferences) == 0 || json.Unmarshal(m.OwnerReferences, &owners, decoding()) != nil {
		return false
	}
	return slices.ContainsFunc(owners, func(o owner) bool { return o.Controller })
}

// place is something with labels and annotations: the object itself, or its pod template.
type place struct {
	path                []string // in the object
	bare                bool     // it has no metadata yet
	labels, annotations stringMap
	// Of a pod template:
	settled  bool                // an update has left it as it was, but for keys that rules set or remove
	selector labels.Requirements // what the labels must fulfil
}

func newPlace(now, old *metadata, path ...string) place {
	p := place{path: path, bare: now == nil}
	if now == nil {
		now = &metadata{}
	}
	if old == nil {
		old = &metadata{}
	}
	p.labels = stringMap{name: "labels", before: now.Labels, old: old.Labels}
	p.annotations = stringMap{name: "annotations", before: now.Annotations, old: old.Annotations}
	return p
}

// operations adds to patch what became of p, without ever replacing a map that is there.
func (p *place) operations(patch *sdk.Patch) {
	at := append(slices.Clone(p.path), "metadata")
	if !p.bare {
		p.labels.operations(patch, at)
		p.annotations.operations(patch, at)
		return
	}
	added := map[string]map[string]string{}
	for _, m := range []*stringMap{&p.labels, &p.annotations} {
		if len(m.after) > 0 {
			added[m.name] = m.after
		}
	}
	if len(added) > 0 {
		patch.Add(sdk.Pointer(at...), added)
	}
}

// selected tells whether the selector's requirements of a label would be met with it at value, or without it
// where present is false.
func (p *place) selected(key, value string, present bool) bool {
	set := labels.Set{}
	if present {
		set[key] = value
	}
	for _, requirement := range p.selector {
		if requirement.Key() == key && !requirement.Matches(set) {
			return false
		}
	}
	return true
}

// stringMap is the labels or annotations of a place.
type stringMap struct {
	name   string            // of the member of metadata
	before map[string]string // nil where absent or null; never changed
	after  map[string]string // nil until something changes
	old    map[string]string // before the update; never changed
	frozen sets.Set[string]  // what rules keep as it was; no later rule changes it
}

func (m *stringMap) current() map[string]string {
	if m.after != nil {
		return m.after
	}
	return m.before
}

// change sets a key or, without a value, removes it.
func (m *stringMap) change(key, value string, present bool) {
	if m.after == nil {
		m.after = map[string]string{}
		maps.Copy(m.after, m.before)
	}
	if present {
		m.after[key] = value
	} else {
		delete(m.after, key)
	}
}

func (m *stringMap) operations(patch *sdk.Patch, at []string) {
	at = append(slices.Clone(at), m.name)
	if m.before == nil {
		if len(m.after) > 0 {
			patch.Add(sdk.Pointer(at...), m.after)
		}
		return
	}
	if m.after == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.before)) {
		if _, present := m.after[key]; !present {
			patch.Remove(sdk.Pointer(append(at, key)...))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.after)) {
		if old, present := m.before[key]; !present || old != m.after[key] {
			patch.Add(sdk.Pointer(append(at, key)...), m.after[key]) // replaces where present
		}
	}
}
