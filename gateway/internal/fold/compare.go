package fold

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// Observed are the places that a mutator looks at. The zero value is everything.
type Observed struct{ places patterns }

// NewObserved returns the places of JSON pointers, with everything below them. "*" stands for every member or
// element, and looks at which of them there are. None means everything.
func NewObserved(pointers []string) Observed { return Observed{newPatterns(pointers)} }

// Changed tells whether the mutator could see a difference between two documents, one of which comes from the
// other by patches. It may say so where there is none, when a patch set a value to what it was.
func (o Observed) Changed(before, after *Document) bool {
	if before == after {
		return false
	}
	if len(o.places) == 0 {
		return !unchanged(before.root, before, after)
	}
	return slices.ContainsFunc(o.places, func(place []string) bool {
		return differs(place, before, after, before.root, after.root)
	})
}

// unchanged tells whether v holds the very same values in both documents, all the way down.
func unchanged(v *value, a, b *Document) bool {
	inA, editedA := a.edited[v]
	inB, editedB := b.edited[v]
	if !editedA {
		inA = v.parts // nothing, if nobody looked inside: then nobody has changed anything there either
	}
	if !editedB {
		inB = v.parts
	}
	if (editedA || editedB) && !inA.same(inB) {
		return false
	}
	for _, m := range inA.members {
		if !unchanged(m.value, a, b) {
			return false
		}
	}
	for _, e := range inA.elements {
		if !unchanged(e, a, b) {
			return false
		}
	}
	return true
}

// same tells whether two contents are the same values in the same order.
func (c content) same(other content) bool {
	return slices.Equal(c.elements, other.elements) && slices.EqualFunc(c.members, other.members, func(a, b member) bool {
		return a.name == b.name && a.value == b.value
	})
}

// differs tells whether what place names is another in b, seen from inB, than in a, seen from inA. Either is
// nil where there is nothing.
func differs(place []string, a, b *Document, inA, inB *value) bool {
	if inA == inB && (inA == nil || unchanged(inA, a, b)) {
		return false
	}
	if len(place) == 0 {
		return inA == inB || inA == nil || inB == nil || !bytes.Equal(a.append(nil, inA), b.append(nil, inB))
	}
	heldA, heldB := a.held(inA), b.held(inB)
	if place[0] != wildcard {
		nextA, nextB := heldA.at(place[0]), heldB.at(place[0])
		if heldA.form == array && heldB.form == array && nextA != nextB {
			return true // another element in this place is another element, even where it looks the same below
		}
		return differs(place[1:], a, b, nextA, nextB)
	}
	if len(heldA.members) != len(heldB.members) || !slices.Equal(heldA.elements, heldB.elements) {
		return true
	}
	for _, e := range heldA.elements {
		if differs(place[1:], a, b, e, e) {
			return true
		}
	}
	membersB := make(map[string]*value, len(heldB.members))
	for _, m := range heldB.members {
		membersB[m.name] = m.value
	}
	for _, m := range heldA.members {
		other, ok := membersB[m.name]
		if !ok || differs(place[1:], a, b, m.value, other) {
			return true
		}
	}
	return false
}

// held is content where v may be nil or hold nothing.
func (d *Document) held(v *value) content {
	if v == nil {
		return content{}
	}
	c, err := d.content(v)
	if err != nil {
		return content{}
	}
	return c
}

// errNullElement: kube-apiserver's library dereferences nil when a test compares a null inside an array
// (gopkg.in/evanphx/json-patch.v4 v4.13.0, lazyNode.equal).
var errNullElement = errors.New("the test compares a null inside an array, at which kube-apiserver crashes")

// errNullSet: to the library a null that an operation has put there is not the null that a test of the same
// patch compares it with. A null that came with the object, or within a larger value, is.
var errNullSet = errors.New("the test compares a null that the same patch has set, which kube-apiserver finds different")

// equal compares a, which is in the document, with b as kube-apiserver's library does for the mutator whose turn
// is by: containers part by part, anything else by its text, so that 1 and 1.0 differ.
func (d *Document) equal(a, b *value, by int) (bool, error) {
	inA, inB := d.held(a), d.held(b)
	if a.set && a.by == by && a.null() {
		return false, errNullSet
	}
	if inA.form == scalar || inB.form == scalar {
		return inA.form == inB.form && strings.TrimSpace(a.raw) == strings.TrimSpace(b.raw), nil
	}
	if inA.form != inB.form || len(inA.members) != len(inB.members) || len(inA.elements) != len(inB.elements) {
		return false, nil
	}
	for _, m := range inA.members {
		i, err := inB.find(m.name)
		if err != nil || i < 0 {
			return false, err
		}
		if same, err := d.equal(m.value, inB.members[i].value, by); err != nil || !same {
			return false, err
		}
	}
	for i, e := range inA.elements {
		if e.null() || inB.elements[i].null() {
			return false, errNullElement
		}
		if same, err := d.equal(e, inB.elements[i], by); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}
