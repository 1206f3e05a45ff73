package labels

import (
	"math/bits"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// index finds the rules that the request's operation, resource and namespace leave, without looking at the
// others: a hundred of them are two words.
type index struct {
	words        int
	creates      bitset
	updates      bitset
	subResources bitset // of updates
	anyNamespace bitset
	namespaces   map[string]bitset
	resources    map[schema.GroupResource]bitset // "*" stands for any
}

// bitset is a set of rules by their place.
type bitset []uint64

const wordBits = 64

func (b bitset) add(i int) { b[i/wordBits] |= 1 << (i % wordBits) }

// word is 0 for a set that is not there.
func (b bitset) word(i int) uint64 {
	if b == nil {
		return 0
	}
	return b[i]
}

func newIndex(in []Rule) *index {
	x := &index{
		words:      (len(in) + wordBits - 1) / wordBits,
		namespaces: map[string]bitset{},
		resources:  map[schema.GroupResource]bitset{},
	}
	x.creates, x.updates, x.subResources, x.anyNamespace = x.none(), x.none(), x.none(), x.none()
	for i := range in {
		x.add(i, &in[i])
	}
	return x
}

func (x *index) none() bitset { return make(bitset, x.words) }

func (x *index) add(i int, r *Rule) {
	for _, operation := range r.Match.Operations {
		if operation == string(admissionregistrationv1.Create) {
			x.creates.add(i)
		} else {
			x.updates.add(i)
		}
	}
	if r.Immutable != "" { // whatever the operations are: they say when it sets
		x.updates.add(i)
		x.subResources.add(i)
	}
	if r.Match.Namespaces == nil {
		x.anyNamespace.add(i)
	}
	for _, name := range r.Match.Namespaces {
		if x.namespaces[name] == nil {
			x.namespaces[name] = x.none()
		}
		x.namespaces[name].add(i)
	}
	rules := r.Match.ResourceRules
	if rules == nil {
		rules = []ResourceRule{{APIGroups: []string{"*"}, Resources: []string{"*"}}}
	}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				key := schema.GroupResource{Group: group, Resource: resource}
				if x.resources[key] == nil {
					x.resources[key] = x.none()
				}
				x.resources[key].add(i)
			}
		}
	}
}

// candidates are the places of the rules that are left, in order.
func (x *index) candidates(req *admissionv1.AdmissionRequest) []int {
	operation := x.creates
	if req.GetOperation() == admissionv1.Operation_OPERATION_UPDATE {
		operation = x.updates
	}
	group, resource := req.GetResource().GetGroup(), req.GetResource().GetResource()
	if isBinding(req) {
		operation, resource = x.subResources, "pods"
	} else if req.GetSubResource() != "" {
		operation = x.subResources
	}
	exact, anyGroup := x.resources[schema.GroupResource{Group: group, Resource: resource}], x.resources[schema.GroupResource{Group: "*", Resource: resource}]
	anyResource, all := x.resources[schema.GroupResource{Group: group, Resource: "*"}], x.resources[schema.GroupResource{Group: "*", Resource: "*"}]
	inNamespace := x.namespaces[namespaceOf(req)]
	var places []int
	for i := range x.words {
		left := operation[i] & (x.anyNamespace[i] | inNamespace.word(i)) &
			(exact.word(i) | anyGroup.word(i) | anyResource.word(i) | all.word(i))
		for ; left != 0; left &= left - 1 {
			places = append(places, i*wordBits+bits.TrailingZeros64(left))
		}
	}
	return places
}

// isNamespace tells whether the object is itself a Namespace, whose own labels then count as those of
// its namespace: nobody can have watched them yet.
func isNamespace(req *admissionv1.AdmissionRequest) bool {
	resource := req.GetResource()
	return resource.GetGroup() == "" && resource.GetResource() == "namespaces"
}

// namespaceOf is empty for a cluster-scoped object that is no Namespace.
func namespaceOf(req *admissionv1.AdmissionRequest) string {
	if isNamespace(req) {
		return req.GetName()
	}
	return req.GetNamespace()
}
