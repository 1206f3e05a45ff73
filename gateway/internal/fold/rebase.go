package fold

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// place is where something stands in the document as it is now.
type place struct {
	holder *value // the object or array
	parent string // its pointer
	token  string // unescaped, as the mutator wrote it
	at     string // the same as it is now, escaped
	value  *value // what stands there; nil where nothing needs to
}

func (p place) path() string { return p.parent + "/" + p.at }

// view is the document that the mutator saw.
func (e *editor) view() *Document {
	if e.seen != nil {
		return e.seen
	}
	return e.now
}

// holder looks up what holds the place at pointer, and finds it again in the document as it is now.
func (e *editor) holder(pointer string) (place, error) {
	path, err := parse(pointer)
	if err != nil {
		return place{}, err
	}
	last := len(path) - 1
	at := place{holder: e.now.root, token: path[last], at: escape(path[last])}
	if e.seen == nil {
		at.parent = pointer[:strings.LastIndexByte(pointer, '/')]
	}
	for i, token := range path[:last] {
		next, err := e.view().child(at.holder, token)
		if err != nil {
			return place{}, fmt.Errorf("/%s: %w", strings.Join(path[:i+1], "/"), err)
		}
		if e.seen != nil {
			token, ok := e.now.held(at.holder).place(next)
			if !ok {
				return place{}, ErrStale
			}
			at.parent += "/" + token
		}
		at.holder = next
	}
	return at, nil
}

// find returns the place of a value that must exist, and must be what the mutator saw, with everything in it.
func (e *editor) find(pointer string) (place, error) {
	at, err := e.holder(pointer)
	if err != nil {
		return at, err
	}
	if at.value, err = e.view().child(at.holder, at.token); err != nil {
		return at, fmt.Errorf("%s: %w", pointer, err)
	}
	if e.seen == nil {
		return at, nil
	}
	token, ok := e.now.held(at.holder).place(at.value)
	if !ok || !unchanged(at.value, e.seen, e.now) {
		return at, ErrStale
	}
	at.at = token
	return at, nil
}

// join carries over the making of an object or an empty array that another mutator has made too. It reports
// whether that is what op is. From then on the two are one: what the mutator puts into its own goes there.
func (e *editor) join(op *admissionv1.PatchOperation, v *value) (bool, error) {
	at, err := e.holder(op.GetPath())
	if err != nil {
		return false, err
	}
	before, err := e.seen.content(at.holder)
	if err != nil || before.form != object {
		return false, err
	}
	if there, err := before.find(at.token); err != nil || there >= 0 {
		return false, err
	}
	now, err := e.now.content(at.holder)
	if err != nil {
		return false, err
	}
	theirs := now.at(at.token)
	if theirs == nil {
		return false, nil
	}
	there, err := e.now.content(theirs)
	if err != nil {
		return false, ErrStale
	}
	ours, err := v.open()
	if err != nil || ours.form != there.form || len(ours.elements) > 0 {
		return false, ErrStale // where a first element goes in a list that has some by now, only the mutator knows
	}
	e.alter(e.seen, at.holder, func(c *content) { c.set(at.token, theirs) })
	e.seen.edited[theirs] = content{form: ours.form}
	for _, m := range ours.members {
		if err := e.add(&admissionv1.PatchOperation{
			Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: op.GetPath() + "/" + escape(m.name), Value: []byte(m.value.raw),
		}, m.value); err != nil {
			return false, err
		}
	}
	return true, nil
}

// position returns the index before which an element is inserted, in the list that the mutator saw and in
// the list as it is now: between the same two neighbours, or at the same end.
func position(token string, before, now content) (i, j int, err error) {
	if token == end {
		return len(before.elements), len(now.elements), nil
	}
	if i, err = index(token, len(before.elements)); err != nil {
		return 0, 0, err
	}
	j = 0
	if i > 0 {
		j = slices.Index(now.elements, before.elements[i-1]) + 1
		if j == 0 {
			return 0, 0, ErrStale
		}
	}
	atEnd := i == len(before.elements)
	if atEnd != (j == len(now.elements)) || !atEnd && now.elements[j] != before.elements[i] {
		return 0, 0, ErrStale
	}
	return i, j, nil
}

// end is the token for the place behind the last element of an array.
const end = "-"
