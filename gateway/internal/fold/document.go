package fold

import (
	"errors"
	"fmt"
	"strings"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// copyLimit is how much "copy" operations may add in all: kube-apiserver refuses more
// (k8s.io/apiserver/pkg/server/config.go, JSONPatchMaxCopyBytes).
const copyLimit = 3 << 20

// Document is an object that is being patched. Only what lies on the way to a patched place is ever
// parsed; everything else stays the bytes that came. A Document belongs to one goroutine.
type Document struct {
	root   *node
	copied int
}

// NewDocument returns a document of object, which must be one valid JSON object. The bytes are not
// changed, and must not change while the document is in use.
func NewDocument(object []byte) *Document {
	return &Document{root: &node{raw: string(object)}}
}

// Apply applies ops in order. On error the document is in between and of no further use.
//
// It is RFC 6902 without the places where that and kube-apiserver's library differ: those are errors.
// Indices are plain decimals within the array, a replaced or removed value must exist, and no member on
// the way may stand twice.
func (d *Document) Apply(ops []*admissionv1.PatchOperation) error {
	for i, op := range ops {
		if err := d.apply(op); err != nil {
			return fmt.Errorf("operation %d (%s %s) does not apply: %w", i, name(op.GetOp()), op.GetPath(), err)
		}
	}
	return nil
}

// Bytes returns the document as JSON. Values that no operation touched are the bytes that came.
func (d *Document) Bytes() []byte {
	return d.root.append(make([]byte, 0, len(d.root.raw)+1024))
}

func (d *Document) apply(op *admissionv1.PatchOperation) error {
	switch op.GetOp() {
	case admissionv1.PatchOp_PATCH_OP_ADD:
		return d.add(op.GetPath(), &node{raw: string(op.GetValue())})
	case admissionv1.PatchOp_PATCH_OP_REMOVE:
		_, err := d.remove(op.GetPath())
		return err
	case admissionv1.PatchOp_PATCH_OP_REPLACE:
		place, err := d.find(op.GetPath())
		if err != nil {
			return err
		}
		*place = node{raw: string(op.GetValue())}
		return nil
	case admissionv1.PatchOp_PATCH_OP_MOVE:
		if op.GetPath() == op.GetFrom() || strings.HasPrefix(op.GetPath(), op.GetFrom()+"/") {
			return fmt.Errorf("%s cannot be moved into itself", op.GetFrom())
		}
		value, err := d.remove(op.GetFrom())
		if err != nil {
			return err
		}
		return d.add(op.GetPath(), value)
	case admissionv1.PatchOp_PATCH_OP_COPY:
		value, err := d.find(op.GetFrom())
		if err != nil {
			return err
		}
		data := value.append(nil)
		if d.copied += len(data); d.copied > copyLimit {
			return fmt.Errorf("the patch copies more than %d bytes", copyLimit)
		}
		return d.add(op.GetPath(), &node{raw: string(data)})
	case admissionv1.PatchOp_PATCH_OP_TEST:
		place, err := d.find(op.GetPath())
		if err != nil {
			return err
		}
		same, err := place.equal(&node{raw: string(op.GetValue())})
		if err == nil && !same {
			err = errors.New("the value there is another")
		}
		return err
	default:
		return errors.New("it is no operation of RFC 6902")
	}
}

// find returns the value at pointer.
func (d *Document) find(pointer string) (*node, error) {
	path, err := parse(pointer)
	if err != nil {
		return nil, err
	}
	at := d.root
	for i, token := range path {
		next, err := at.child(token)
		if err != nil {
			return nil, fmt.Errorf("/%s: %w", strings.Join(path[:i+1], "/"), err)
		}
		at = next
	}
	return at, nil
}

// parent returns the value that holds the place at pointer, and the place's own token.
func (d *Document) parent(pointer string) (*node, string, error) {
	cut := strings.LastIndexByte(pointer, '/')
	last, err := parse(pointer)
	if err != nil {
		return nil, "", err
	}
	holder := d.root
	if cut > 0 {
		if holder, err = d.find(pointer[:cut]); err != nil {
			return nil, "", err
		}
	}
	return holder, last[len(last)-1], nil
}

func (d *Document) add(pointer string, value *node) error {
	holder, token, err := d.parent(pointer)
	if err != nil {
		return err
	}
	return holder.insert(token, value)
}

func (d *Document) remove(pointer string) (*node, error) {
	holder, token, err := d.parent(pointer)
	if err != nil {
		return nil, err
	}
	return holder.remove(token)
}
