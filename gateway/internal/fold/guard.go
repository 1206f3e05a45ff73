package fold

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// maxOperations is how many operations a patch may have. Some of the work for each grows with the object, and
// how large that is its author decides, who is not the mutator's.
const maxOperations = 2000

// Guard is what one mutator may change. The zero value allows everything that any mutator may.
type Guard struct {
	mayPatch patterns // empty: all
}

// NewGuard returns a guard for JSON pointers that may be changed, with everything below them; "*" stands
// for one level. None means all. What is to hold such a place may be made where it is missing, as long as
// nothing else comes with it: who may set one label may make the labels for it.
func NewGuard(mayPatch []string) Guard {
	return Guard{newPatterns(mayPatch)}
}

// untouchable are the places that say what an object is, and those that kube-apiserver owns in every object.
// Changes to the former make it undecodable or another object, which is an error for the user whatever the
// failure policy; changes to the latter are lost, or break optimistic locking and field ownership.
var untouchable = [][]string{
	{"apiVersion"},
	{"kind"},
	{"metadata", "name"},
	{"metadata", "namespace"},
	{"metadata", "uid"},
	{"metadata", "resourceVersion"},
	{"metadata", "managedFields"},
}

// Check says why ops, which were made for the document seen, must not be applied to req's object, nil when they
// may be. The error is a *PatchError where it is about one operation.
func (g Guard) Check(req *admissionv1.AdmissionRequest, ops []*admissionv1.PatchOperation, seen *Document) error {
	if len(ops) > 0 && len(req.GetObject()) == 0 {
		return fmt.Errorf("a patch on %s, which carries no object to patch", strings.TrimPrefix(req.GetOperation().String(), "OPERATION_"))
	}
	if len(ops) > maxOperations {
		return fmt.Errorf("the patch has %d operations, and at most %d are taken: replace a list or object as a whole", len(ops), maxOperations)
	}
	for i, op := range ops {
		if err := g.checkOperation(req, op, seen); err != nil {
			return &PatchError{Index: i, Op: op, Err: err}
		}
	}
	return nil
}

// PatchError says what is wrong with one operation of a patch.
type PatchError struct {
	// Index is the operation's place in the patch, counted from 0.
	Index int
	// Op is the operation. Its value may be a secret, and is not part of the text.
	Op *admissionv1.PatchOperation
	// Problem says in two words what kind of error it is; it may be empty.
	Problem string
	// Err is the reason.
	Err error
}

// Error names the operation and the reason.
func (e *PatchError) Error() string {
	text := fmt.Sprintf("operation %d (%s)", e.Index, e.Operation())
	if e.Problem != "" {
		text += " " + e.Problem
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *PatchError) Unwrap() error { return e.Err }

// maxPath is how much of a path is told; some keys are long.
const maxPath = 200

// Operation names the operation: "add /spec/volumes/0".
func (e *PatchError) Operation() string {
	path := e.Op.GetPath()
	if len(path) > maxPath {
		path = strings.ToValidUTF8(path[:maxPath], "") + "…"
	}
	return name(e.Op.GetOp()) + " " + path
}

func (g Guard) checkOperation(req *admissionv1.AdmissionRequest, op *admissionv1.PatchOperation, seen *Document) error {
	switch op.GetOp() {
	case admissionv1.PatchOp_PATCH_OP_ADD, admissionv1.PatchOp_PATCH_OP_REPLACE:
		if err := checkValue(op.GetValue()); err != nil {
			return err
		}
		if op.GetOp() == admissionv1.PatchOp_PATCH_OP_ADD && op.GetPath() == "/status" && saysNothing(req, op.GetValue()) {
			return nil
		}
	case admissionv1.PatchOp_PATCH_OP_TEST:
		if err := checkValue(op.GetValue()); err != nil {
			return err
		}
		_, err := parse(op.GetPath())
		return err // a test changes nothing, so it may look anywhere
	case admissionv1.PatchOp_PATCH_OP_MOVE:
		from := &admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: op.GetFrom()}
		if err := g.checkTarget(req, from, seen); err != nil {
			return fmt.Errorf("from %s: %w", op.GetFrom(), err)
		}
	case admissionv1.PatchOp_PATCH_OP_COPY:
		if _, err := parse(op.GetFrom()); err != nil {
			return fmt.Errorf("from %s: %w", op.GetFrom(), err)
		}
	case admissionv1.PatchOp_PATCH_OP_REMOVE:
	default:
		return errors.New("is no operation of RFC 6902")
	}
	return g.checkTarget(req, op, seen)
}

// saysNothing tells whether value is a status of zero values for an object that has none. That is what a mutator
// adds which reads a new custom resource into a Go type and writes it again: omitempty does not leave out a
// struct. Every webhook with a CustomDefaulter of controller-runtime is one.
func saysNothing(req *admissionv1.AdmissionRequest, value []byte) bool {
	var status map[string]any
	return !gjson.GetBytes(req.GetObject(), "status").Exists() && json.Unmarshal(value, &status) == nil && zero(status)
}

func zero(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			if !zero(member) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	default:
		return v == nil || v == "" || v == false || v == 0.0
	}
}

// checkValue refuses members that stand twice too: kube-apiserver keeps one of them, and those whose turn comes
// later would have to guess which.
func checkValue(value []byte) error {
	if jsontext.Value(value).IsValid() {
		return nil
	}
	if jsontext.Value(value).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return errors.New("its value has a member that stands twice, or broken UTF-8")
	}
	return errors.New("its value is not JSON")
}

func (g Guard) checkTarget(req *admissionv1.AdmissionRequest, op *admissionv1.PatchOperation, seen *Document) error {
	target, err := parse(op.GetPath())
	if err != nil {
		return err
	}
	if target[0] == "status" && req.GetSubResource() != "status" {
		return errors.New("/status belongs to the status subresource")
	}
	for _, place := range untouchable {
		if within(target, place) || within(place, target) {
			return fmt.Errorf("/%s is not for mutators to change", strings.Join(place, "/"))
		}
	}
	if len(g.mayPatch) == 0 || g.allows(target) {
		return nil
	}
	if op.GetOp() == admissionv1.PatchOp_PATCH_OP_ADD && !seen.has(target) && g.allowsOnly(target, &value{raw: string(op.GetValue())}) {
		return nil
	}
	return errors.New("is outside the backend's mayPatch")
}

func (g Guard) allows(target []string) bool {
	return slices.ContainsFunc(g.mayPatch, func(place []string) bool { return within(target, place) })
}

// allowsOnly tells whether v, at target, holds nothing but what may be patched, or is an empty holder for it.
func (g Guard) allowsOnly(target []string, v *value) bool {
	if g.allows(target) {
		return true
	}
	leads := func(place []string) bool { return len(place) > len(target) && within(target, place[:len(target)]) }
	held, err := v.open()
	if err != nil || !slices.ContainsFunc(g.mayPatch, leads) {
		return false
	}
	for _, m := range held.members {
		if !g.allowsOnly(append(slices.Clip(target), m.name), m.value) {
			return false
		}
	}
	for i, e := range held.elements {
		if !g.allowsOnly(append(slices.Clip(target), strconv.Itoa(i)), e) {
			return false
		}
	}
	return true
}

// has tells whether there is a value other than null at target.
func (d *Document) has(target []string) bool {
	at := d.root
	for _, token := range target {
		if at = d.held(at).at(token); at == nil {
			return false
		}
	}
	return !at.null()
}

func name(op admissionv1.PatchOp) string {
	return strings.ToLower(strings.TrimPrefix(op.String(), "PATCH_OP_"))
}
