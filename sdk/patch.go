package sdk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Patch collects JSON Patch operations (RFC 6902) in the order in which they apply. The zero value is
// an empty patch. Values are encoded by encoding/json; a json.RawMessage is taken as it stands, and must
// not be changed any more. The first error sticks, and fails the mutation.
type Patch struct {
	ops   []*admissionv1.PatchOperation
	spare []admissionv1.PatchOperation // not in use yet
	err   error
}

// Add adds value at pointer: sets an object's member, or inserts into an array.
func (p *Patch) Add(pointer string, value any) {
	p.append(admissionv1.PatchOp_PATCH_OP_ADD, pointer, value)
}

// Replace replaces the value at pointer, which must exist.
func (p *Patch) Replace(pointer string, value any) {
	p.append(admissionv1.PatchOp_PATCH_OP_REPLACE, pointer, value)
}

// Test requires the value at pointer to equal value; otherwise the whole patch fails.
func (p *Patch) Test(pointer string, value any) {
	p.append(admissionv1.PatchOp_PATCH_OP_TEST, pointer, value)
}

// Remove removes the value at pointer, which must exist.
func (p *Patch) Remove(pointer string) {
	op := p.next()
	op.Op, op.Path = admissionv1.PatchOp_PATCH_OP_REMOVE, pointer
}

// move takes the value at from away and adds it at to.
func (p *Patch) move(from, to string) {
	op := p.next()
	op.Op, op.From, op.Path = admissionv1.PatchOp_PATCH_OP_MOVE, from, to
}

// next adds an operation. They are made by the dozen: a patch has few of them or many.
func (p *Patch) next() *admissionv1.PatchOperation {
	const dozen = 12
	if len(p.spare) == 0 {
		p.spare = make([]admissionv1.PatchOperation, dozen)
		p.ops = slices.Grow(p.ops, dozen)
	}
	op := &p.spare[0]
	p.spare, p.ops = p.spare[1:], append(p.ops, op)
	return op
}

// Operations returns what was collected, or the first error.
func (p *Patch) Operations() ([]*admissionv1.PatchOperation, error) { return p.ops, p.err }

// Empty tells whether nothing was collected.
func (p *Patch) Empty() bool { return len(p.ops) == 0 && p.err == nil }

func (p *Patch) append(op admissionv1.PatchOp, pointer string, value any) {
	raw, ok := value.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(value); err != nil && p.err == nil {
			p.err = fmt.Errorf("patch value for %s: %w", pointer, err)
		}
	}
	operation := p.next()
	operation.Op, operation.Path, operation.Value = op, pointer, raw
}

// Pointer joins reference tokens into a JSON pointer (RFC 6901), escaping "~" and "/" in each:
// Pointer("metadata", "labels", "app.kubernetes.io/name") is "/metadata/labels/app.kubernetes.io~1name".
func Pointer(tokens ...string) string {
	var b strings.Builder
	const most = 100 // of most pointers
	b.Grow(most)
	for _, t := range tokens {
		b.WriteByte('/')
		_, _ = pointerEscaper.WriteString(&b, t) // a Builder takes everything
	}
	return b.String()
}

// pointerEscaper replaces left to right without rescanning, so that "~1" becomes "~01".
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")
