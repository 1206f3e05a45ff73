package labels

import (
	"fmt"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// isBinding tells whether req is about a Binding, which gives a pod to a node, by either of its two addresses.
// kube-apiserver writes the labels and annotations of a Binding over those of the pod, and asks nobody about the
// pod (pkg/registry/core/pod/storage).
func isBinding(req *admissionv1.AdmissionRequest) bool {
	resource := req.GetResource()
	return resource.GetGroup() == "" && (resource.GetResource() == "bindings" ||
		resource.GetResource() == "pods" && req.GetSubResource() == "binding")
}

// unbind takes the keys of an immutable rule for pods out of a Binding, or notes that the rule denies them. A
// Binding does not tell what the pod is like, so the rule's objectSelector and matchConditions are not asked.
func (r *rule) unbind(s *subject) error {
	if !r.object || r.excepts(s.req.GetUserInfo()) {
		return nil
	}
	if selected, err := r.selectsNamespace(s); err != nil || !selected {
		return err
	}
	a := &application{rule: r, s: s}
	for i := range r.setLabels {
		a.unbind(&s.object.labels, r.setLabels[i].key)
	}
	for i := range r.setAnnotations {
		a.unbind(&s.object.annotations, r.setAnnotations[i].key)
	}
	return nil
}

func (a *application) unbind(m *stringMap, key string) {
	p := &a.s.object
	_, present := m.current()[key]
	switch {
	case !present:
	case a.immutable == Deny:
		a.deny(p, m, key, fmt.Sprintf("%s of the pod is for rule %q to set, and a Binding must not change it: leave it out", p.call(m, key), a.name))
	default:
		a.change(p, m, key, "", false)
	}
}
