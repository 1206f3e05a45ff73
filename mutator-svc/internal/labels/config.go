// Package labels stamps labels and annotations on objects and their pod templates, and removes them, by
// rules: fixed values, or values computed from the object, its namespace, the user and the request.
//
// The rules apply in the order in which they are written, and each sees what the ones before it made of
// the object. They apply when an object is created or updated, to every kind that has metadata; never on
// DELETE or CONNECT. An object that is being deleted is left alone, so that its finalizers can always go.
// On subresources, some of which can change metadata (pods/status and pods/binding can), stamps that are immutable
// are kept, and nothing else is done.
package labels

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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
	// Deny refuses the object, and says which value it should have had. As Immutable it refuses the update.
	Deny = "Deny"
)

// Restore is what Immutable may be besides Deny: the old value is put back.
const Restore = "Restore"

// Where a rule works.
const (
	// Object is the object's own metadata.
	Object = "Object"
	// PodTemplate is the metadata of the pod template in it.
	PodTemplate = "PodTemplate"
)

// Config is the list of rules.
type Config struct {
	// Rules apply in this order. A rule that reads a key must come after the rule that sets it.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule sets and removes keys on the objects that it matches.
type Rule struct {
	// Name is what users and errors call the rule. Empty: its place, such as rules[0].
	Name string `json:"name,omitempty"`
	// Match says which objects; empty: all.
	Match Match `json:"match,omitzero"`
	// Targets are where the keys are: Object (the default), PodTemplate, or both. The pod template is that of
	// Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs, PodTemplates,
	// and of any other kind whose spec.template has containers, such as a Rollout. An update that leaves the
	// template as it is, but for keys of rules, gets no new stamps in it: it restarts no pods. The template of an
	// object that has a controller is its controller's matter, and is left alone. A label is not changed where
	// the object's selector would then not match any more; a warning says so.
	Targets []string `json:"targets,omitempty"`
	// Remove is what they lose; done before Set. Keys that the rule itself sets are not removed.
	Remove Remove `json:"remove,omitzero"`
	// Set is what they get. A rule sets or removes something.
	Set Set `json:"set,omitzero"`
	// WhenPresent is Keep (the default), Overwrite or Deny.
	WhenPresent string `json:"whenPresent,omitempty"`
	// Immutable is Restore or Deny: a key of Set that the object had before an update is put back if the update
	// changes or removes it, or the update is denied. Its value is not computed again, and it does not matter
	// where it came from; other rules leave it alone. A key that the object did not have is set as
	// ever if the rule is for UPDATE; if it is not, the update cannot add the key either. It also holds for
	// updates of subresources, and for pods/binding, whose labels and annotations become the pod's: there the keys of
	// Set have no place, whatever ObjectSelector and MatchConditions say. Empty: an update is treated as a creation.
	Immutable string `json:"immutable,omitempty"`
	// Except are those who may give the keys values of their own: for them WhenPresent is Keep, nothing is
	// immutable, and nothing is removed.
	Except Except `json:"except,omitzero"`
}

// Match is fulfilled when all of its parts are; an absent part is.
type Match struct {
	// Operations are CREATE, UPDATE or both. Default: both.
	Operations []string `json:"operations,omitempty"`
	// ResourceRules are kinds of objects, of which one must fit.
	ResourceRules []ResourceRule `json:"resourceRules,omitempty"`
	// Namespaces are names of which the request's namespace must be one. With it, no cluster-scoped
	// object but a Namespace of such a name matches.
	Namespaces []string `json:"namespaces,omitempty"`
	// NamespaceSelector is about the labels of the object's namespace, or of the object itself if that
	// is a Namespace; where Immutable is set, those that it had before an update are enough. Other cluster-scoped
	// objects always match, as in admissionregistration.k8s.io/v1.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ObjectSelector is about the labels of the object, or of the object as it was before an update; one
	// of them is enough, as in admissionregistration.k8s.io/v1.
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
	// MatchConditions are CEL expressions that must all be true; they see what values see (Set). If one is false
	// the rule does not match; otherwise one that fails is an error. Where Immutable is set and they do not all
	// hold for the updated object, they may hold for the object as it was: an update cannot edit itself out of
	// the rule.
	MatchConditions []admissionregistrationv1.MatchCondition `json:"matchConditions,omitempty"`
}

// ResourceRule is the part of a rule of admissionregistration.k8s.io/v1 that says which resources.
type ResourceRule struct {
	// APIGroups are the groups, "" for the core group; "*": all.
	APIGroups []string `json:"apiGroups,omitempty"`
	// Resources are the resources, such as deployments; "*": all. Subresources cannot be named.
	Resources []string `json:"resources,omitempty"`
}

// Set holds keys and their values. In a value, ${...} is a CEL expression that gives a string, and $${
// stands for ${ itself. The expression sees object and oldObject (null on CREATE), namespace (name, labels,
// annotations), user (username, uid, groups, extra) and request (operation, kind, resource, subResource,
// name, namespace, dryRun, userInfo). labelValue(string) makes a valid label value of any text: what is not
// allowed becomes "_", and what is too long is cut, with a hash in place of the rest.
type Set struct {
	// Labels are the labels' values, by key.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are the annotations' values, by key.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Remove holds keys; internal.example.com/* stands for every key with that prefix.
type Remove struct {
	// Labels are the keys of labels.
	Labels []string `json:"labels,omitempty"`
	// Annotations are the keys of annotations.
	Annotations []string `json:"annotations,omitempty"`
}

// Except names users; one of the two lists is enough.
type Except struct {
	// Users are user names, such as system:serviceaccount:backup:restore.
	Users []string `json:"users,omitempty"`
	// Groups are groups of users.
	Groups []string `json:"groups,omitempty"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.WhenPresent == "" {
			r.WhenPresent = Keep
		}
		if len(r.Targets) == 0 {
			r.Targets = []string{Object}
		}
		if len(r.Match.Operations) == 0 {
			r.Match.Operations = operations()
		}
	}
}

// operations are those that change metadata.
func operations() []string {
	return []string{string(admissionregistrationv1.Create), string(admissionregistrationv1.Update)}
}

// Validate says what is wrong with c, which stands at at; its expressions are compiled.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	_, errs := compile(c, at)
	return errs
}
