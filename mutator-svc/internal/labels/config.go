// Package labels stamps labels and annotations on objects by rules: fixed values, or values computed
// from the namespace, the user and the object.
//
// The rules apply in the order in which they are written, and each sees what the ones before it made of
// the object. They apply when an object is created or updated, to every kind that has metadata; never on
// DELETE or CONNECT, and never to subresources, which cannot change metadata.
package labels

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What becomes of a key that the object already has with another value. A key that has the wanted value
// is in order whatever the rule says.
const (
	// Keep leaves the object's value.
	Keep = "Keep"
	// Overwrite puts the rule's value in its place.
	Overwrite = "Overwrite"
	// Deny refuses the object, and says which value it should have had.
	Deny = "Deny"
)

// Config is the list of rules.
type Config struct {
	// Rules apply in this order.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule sets keys on the objects that it matches.
type Rule struct {
	// Name is what users and errors call the rule. Empty: its place, such as rules[0].
	Name string `json:"name,omitempty"`
	// Match says which objects; empty: all.
	Match Match `json:"match,omitzero"`
	// Set is what they get.
	Set Set `json:"set"`
	// WhenPresent is Keep (the default), Overwrite or Deny.
	WhenPresent string `json:"whenPresent,omitempty"`
}

// Match is fulfilled when all of its parts are; an absent part is.
type Match struct {
	// Namespaces are names of which the request's namespace must be one. With it, no cluster-scoped
	// object but a Namespace of such a name matches.
	Namespaces []string `json:"namespaces,omitempty"`
	// NamespaceSelector is about the labels of the object's namespace, or of the object itself if that
	// is a Namespace. Other cluster-scoped objects always match, as in admissionregistration.k8s.io/v1.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ObjectSelector is about the labels of the object, or of the object as it was before an update; one
	// of them is enough, as in admissionregistration.k8s.io/v1.
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
}

// Set holds keys and their values. In a value, ${...} is a CEL expression that gives a string, and $${
// stands for ${ itself. The expression sees namespace (name, labels, annotations), user (username, uid,
// groups, extra) and object.
type Set struct {
	// Labels are the labels' values, by key.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are the annotations' values, by key.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	for i := range c.Rules {
		if c.Rules[i].WhenPresent == "" {
			c.Rules[i].WhenPresent = Keep
		}
	}
}

// Validate says what is wrong with c, which stands at at; its expressions are compiled.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	_, errs := compile(c, at)
	return errs
}
