package fold

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// copyLimit is how much the "copy" operations of one patch may add, as in kube-apiserver
// (k8s.io/apiserver/pkg/server/config.go, JSONPatchMaxCopyBytes).
const copyLimit = 3 << 20

// ErrStale says that a patch cannot be carried over to the object as it is now, because others have changed
// the very values that it is about: the mutator has to be asked again.
var ErrStale = errors.New("other mutators have changed what the patch is about")

// Change is what one mutator's patch makes of an object.
type Change struct {
	// Document is the object with the change.
	Document *Document
	// Ops are the operations as they apply to the object before the change. Tests are not among them, and what
	// was copied is added.
	Ops []*admissionv1.PatchOperation
	// Fields are the JSON pointers of what was added, replaced or removed, each once, in that order. An index
	// is that of the moment; "-" is never among them.
	Fields []string
	// Overruled are the values of earlier mutators that are no longer there.
	Overruled []Overruled
}

// Overruled is a value that one mutator set and a later one set to something else, or removed.
type Overruled struct {
	// Field is the value's JSON pointer.
	Field string
	// By is the turn of the mutator that had set it.
	By int
}

// Apply applies ops in order, for the mutator whose turn is by, counted from 1. The document itself is not
// changed.
//
// It is RFC 6902 without the places where that and kube-apiserver's library differ: those are errors.
// Indices are plain decimals within the array, a replaced or removed value must exist, and no member on
// the way may stand twice. The error is a *PatchError.
func (d *Document) Apply(ops []*admissionv1.PatchOperation, by int) (*Change, error) {
	return newEditor(d, nil, by).edit(ops)
}

// Rebase applies ops, which were made for the document seen, to d, which comes from seen by other mutators'
// patches. Each operation is carried over to where the value that it names now stands. What the operations
// rely on must be as it was, or the error is ErrStale:
//   - a value that is replaced, removed, tested, moved or copied, with everything in it,
//   - for an element that is inserted, the neighbours it gets; at the end ("-") it has none to rely on,
//   - for a member that is added, that there is none of its name. Where both have made the same object, as
//     with the labels of an object that had none, the members are added to the one that is there.
//
// A patch that does not even apply to seen is a *PatchError.
func (d *Document) Rebase(ops []*admissionv1.PatchOperation, seen *Document, by int) (*Change, error) {
	if seen == d {
		return d.Apply(ops, by)
	}
	return newEditor(d, seen, by).edit(ops)
}

// editor applies operations to a document and, where the mutator saw another one, to that one in step, so
// that every place that an operation names can be looked up there and found again here.
type editor struct {
	now     *Document
	seen    *Document // nil: the mutator saw now
	by      int
	change  Change
	touched map[string]bool // the fields of change
	copied  int             // bytes, by "copy"
	owned   map[owner]bool  // whose content was made its own
}

// owner is an object or array in one of the two documents.
type owner struct {
	in *Document
	of *value
}

func newEditor(now, seen *Document, by int) *editor {
	e := &editor{now: now.fork(), by: by, touched: map[string]bool{}, owned: map[owner]bool{}}
	if seen != nil {
		e.seen = seen.fork()
	}
	return e
}

func (e *editor) edit(ops []*admissionv1.PatchOperation) (*Change, error) {
	e.change.Ops = make([]*admissionv1.PatchOperation, 0, len(ops))
	for i, op := range ops {
		if err := e.apply(op); err != nil {
			if errors.Is(err, ErrStale) {
				return nil, err
			}
			return nil, &PatchError{Index: i, Op: op, Problem: "does not apply", Err: err}
		}
	}
	e.change.Document = e.now
	return &e.change, nil
}

func (e *editor) apply(op *admissionv1.PatchOperation) error {
	switch op.GetOp() {
	case admissionv1.PatchOp_PATCH_OP_ADD:
		return e.add(op, e.value(op.GetValue()))
	case admissionv1.PatchOp_PATCH_OP_REMOVE:
		at, err := e.find(op.GetPath())
		if err != nil {
			return err
		}
		e.overrule(at.path(), at.value, nil)
		e.remove(at)
		e.touch(at.path())
		e.emit(op, at.path(), "")
		return nil
	case admissionv1.PatchOp_PATCH_OP_REPLACE:
		at, err := e.find(op.GetPath())
		if err != nil {
			return err
		}
		v := e.value(op.GetValue())
		if at.value.is(v) {
			return nil
		}
		e.overrule(at.path(), at.value, v)
		e.both(at.holder, func(c *content) { c.replace(at.value, v) })
		e.touch(at.path())
		e.emit(op, at.path(), "")
		return nil
	case admissionv1.PatchOp_PATCH_OP_MOVE:
		if op.GetPath() == op.GetFrom() || strings.HasPrefix(op.GetPath(), op.GetFrom()+"/") {
			return fmt.Errorf("%s cannot be moved into itself", op.GetFrom())
		}
		from, err := e.find(op.GetFrom())
		if err != nil {
			return err
		}
		e.remove(from)
		e.touch(from.path())
		return e.insert(op, from.value, from.path())
	case admissionv1.PatchOp_PATCH_OP_COPY:
		from, err := e.find(op.GetFrom())
		if err != nil {
			return err
		}
		data := e.now.append(nil, from.value)
		if e.copied += len(data); e.copied > copyLimit {
			return fmt.Errorf("the patch copies more than %d bytes", copyLimit)
		}
		// kube-apiserver counts what all mutators copy together; it is told to add instead.
		add := &admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: op.GetPath(), Value: data}
		return e.insert(add, e.value(data), "")
	case admissionv1.PatchOp_PATCH_OP_TEST:
		at, err := e.find(op.GetPath())
		if err != nil {
			return err
		}
		same, err := e.now.equal(at.value, &value{raw: string(op.GetValue())}, e.by)
		if err == nil && !same {
			err = errors.New("the value there is another")
		}
		// kube-apiserver need not make the test again: it applies the patch to the very object that it sent.
		return err
	default:
		return errors.New("it is no operation of RFC 6902")
	}
}

// value returns a value that an operation brings.
func (e *editor) value(raw []byte) *value { return &value{raw: string(raw), by: e.by, set: true} }

// add adds v, or its members where somebody else has made the object that was to hold them.
func (e *editor) add(op *admissionv1.PatchOperation, v *value) error {
	if e.seen != nil {
		if done, err := e.join(op, v); done || err != nil {
			return err
		}
	}
	return e.insert(op, v, "")
}

// insert puts v where op says: a member is set, an element inserted. from is where v comes from, if it is
// moved or copied.
func (e *editor) insert(op *admissionv1.PatchOperation, v *value, from string) error {
	at, err := e.holder(op.GetPath())
	if err != nil {
		return err
	}
	before, err := e.view().content(at.holder)
	if err != nil {
		return err
	}
	now := before
	if e.seen != nil {
		if now, err = e.now.content(at.holder); err != nil {
			return ErrStale
		}
	}
	if before.form == object {
		return e.insertMember(op, at, before, now, v, from)
	}
	i, j, err := position(at.token, before, now)
	if err != nil {
		return err
	}
	if e.seen != nil {
		e.alter(e.seen, at.holder, func(c *content) { c.insert(i, v) })
	}
	e.alter(e.now, at.holder, func(c *content) { c.insert(j, v) })
	at.at = strconv.Itoa(j)
	e.touch(at.path())
	if at.token == end {
		at.at = end
	}
	e.emit(op, at.path(), from)
	return nil
}

func (e *editor) insertMember(op *admissionv1.PatchOperation, at place, before, now content, v *value, from string) error {
	for _, c := range []content{before, now} {
		if _, err := c.find(at.token); err != nil {
			return err
		}
	}
	was, is := before.at(at.token), now.at(at.token)
	if e.seen != nil && (was != is || was != nil && !unchanged(was, e.seen, e.now)) {
		return ErrStale
	}
	if op.GetOp() == admissionv1.PatchOp_PATCH_OP_ADD && is != nil && is.is(v) {
		return nil
	}
	e.overrule(at.path(), is, v)
	e.both(at.holder, func(c *content) { c.set(at.token, v) })
	e.touch(at.path())
	e.emit(op, at.path(), from)
	return nil
}

func (e *editor) remove(at place) {
	e.both(at.holder, func(c *content) { c.remove(at.value) })
}

// both changes what holder holds, here and in the document that the mutator saw.
func (e *editor) both(holder *value, change func(*content)) {
	e.alter(e.now, holder, change)
	if e.seen != nil {
		e.alter(e.seen, holder, change)
	}
}

// alter changes what holder, which was looked into before, holds in d.
func (e *editor) alter(d *Document, holder *value, change func(*content)) {
	c := d.held(holder)
	if key := (owner{d, holder}); !e.owned[key] {
		e.owned[key] = true
		c = c.own()
	}
	change(&c)
	d.edited[holder] = c
}

// touch records that an operation changed what stands at this pointer.
func (e *editor) touch(field string) {
	if !e.touched[field] {
		e.touched[field] = true
		e.change.Fields = append(e.change.Fields, field)
	}
}

// emit records an operation as it applies to the document as it is now.
func (e *editor) emit(op *admissionv1.PatchOperation, path, from string) {
	if path != op.GetPath() || from != op.GetFrom() {
		op = &admissionv1.PatchOperation{Op: op.GetOp(), Path: path, From: from, Value: op.GetValue()}
	}
	e.change.Ops = append(e.change.Ops, op)
}
