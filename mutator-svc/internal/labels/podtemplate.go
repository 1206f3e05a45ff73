package labels

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	kjson "sigs.k8s.io/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// templatePath is where objects of a resource have their pod template, if they have one.
func templatePath(resource *admissionv1.GroupVersionResource) []string {
	switch {
	case resource.GetGroup() == "batch" && resource.GetResource() == "cronjobs":
		return []string{"spec", "jobTemplate", "spec", "template"}
	case resource.GetGroup() == "" && resource.GetResource() == "podtemplates":
		return []string{"template"}
	}
	return []string{"spec", "template"}
}

// isJob tells whether the pod template cannot be changed, but for some fields before the Job has begun, which
// are not always those of its labels.
func isJob(resource *admissionv1.GroupVersionResource) bool {
	return resource.GetGroup() == "batch" && resource.GetResource() == "jobs"
}

// podTemplate returns nil where the object has no pod template, or one that is not ours to change: what a
// controller makes must stay as it made it. The Deployment controller, to name one, looks for the ReplicaSet
// whose template is its own; if it finds none it makes another, and another.
func (s *subject) podTemplate() (*place, error) {
	if s.templateKnown {
		return s.template, nil
	}
	s.templateKnown = true
	authority := s.metadata // on CREATE; after that what kube-apiserver has stored
	if s.old != nil {
		authority = s.old
	}
	if s.req.GetSubResource() != "" || authority.controlled() {
		return nil, nil
	}
	path := templatePath(s.req.GetResource())
	raw := member(s.req.GetObject(), path...)
	if !isPodTemplate(raw) {
		return nil, nil
	}
	var now, old view
	if err := json.Unmarshal(raw, &now, decoding()); err != nil {
		return nil, fmt.Errorf("decoding the pod template's metadata: %w", err)
	}
	oldRaw := member(s.req.GetOldObject(), path...)
	if isPodTemplate(oldRaw) {
		if err := json.Unmarshal(oldRaw, &old, decoding()); err != nil {
			return nil, fmt.Errorf("decoding the old pod template's metadata: %w", err)
		}
	}
	template := newPlace(now.Metadata, old.Metadata, path...)
	template.settled = s.old != nil && (isJob(s.req.GetResource()) || s.stamps.sameBut(oldRaw, raw))
	template.selector = selectorOf(member(s.req.GetObject(), append(path[:len(path)-1:len(path)-1], "selector")...))
	s.template = &template
	return s.template, nil
}

// member returns what stands at path, or nothing. The last of two members of the same name counts.
func member(raw []byte, path ...string) jsontext.Value {
	for _, name := range path {
		if jsontext.Value(raw).Kind() != '{' {
			return nil
		}
		var members map[string]jsontext.Value
		if json.Unmarshal(raw, &members, decoding()) != nil {
			return nil
		}
		raw = members[name]
	}
	return raw
}

// isPodTemplate tells a pod template from other templates, such as that of a virtual machine.
func isPodTemplate(raw jsontext.Value) bool {
	var containers []jsontext.Value
	list := member(raw, "spec", "containers")
	return list.Kind() == '[' && json.Unmarshal(list, &containers, decoding()) == nil && len(containers) > 0
}

// selectorOf reads a LabelSelector, or the plain map of a ReplicationController. What is neither asks nothing
// of labels.
func selectorOf(raw jsontext.Value) labels.Requirements {
	if raw.Kind() != '{' {
		return nil
	}
	var plain map[string]string
	if json.Unmarshal(raw, &plain, decoding()) == nil {
		requirements, _ := labels.SelectorFromSet(plain).Requirements()
		return requirements
	}
	var in metav1.LabelSelector
	if kjson.UnmarshalCaseSensitivePreserveInts(raw, &in) != nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&in)
	if err != nil {
		return nil
	}
	requirements, _ := selector.Requirements()
	return requirements
}

// stamps are the keys that the rules for pod templates set or remove there.
type stamps struct{ labels, annotations keySet }

func newStamps(in []Rule, rules []rule) stamps {
	var out stamps
	for i := range in {
		if !rules[i].template {
			continue
		}
		for key := range in[i].Set.Labels {
			out.labels.exact = add(out.labels.exact, key)
		}
		for key := range in[i].Set.Annotations {
			out.annotations.exact = add(out.annotations.exact, key)
		}
		for _, key := range in[i].Remove.Labels {
			out.labels.add(key)
		}
		for _, key := range in[i].Remove.Annotations {
			out.annotations.add(key)
		}
	}
	return out
}

// sameBut tells whether two pod templates are the same but for stamps.
func (k *stamps) sameBut(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, y := k.without(a), k.without(b)
	return x != nil && y != nil && reflect.DeepEqual(x, y)
}

func (k *stamps) without(template []byte) map[string]any {
	var out map[string]any
	if kjson.UnmarshalCaseSensitivePreserveInts(template, &out) != nil {
		return nil
	}
	metadata, ok := out["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
	}
	for name, keys := range map[string]*keySet{"labels": &k.labels, "annotations": &k.annotations} {
		members, _ := metadata[name].(map[string]any)
		for key := range members {
			if keys.has(key) {
				delete(members, key)
			}
		}
		if len(members) == 0 {
			delete(metadata, name)
		}
	}
	if len(metadata) == 0 {
		delete(out, "metadata")
	}
	return out
}
