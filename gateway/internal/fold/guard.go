package fold

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Guard is what one mutator may change. The zero value allows everything that any mutator may.
type Guard struct {
	mayPatch [][]string // the tokens of each allowed pointer; empty: all
}

// NewGuard returns a guard for JSON pointers that may be changed, with everything below them; "*" stands
// for one level. None means all.
func NewGuard(mayPatch []string) Guard {
	var g Guard
	for _, pointer := range mayPatch {
		g.mayPatch = append(g.mayPatch, tokens(pointer))
	}
	return g
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

// Apply returns req's object with ops applied. The error says why they must not be or cannot be applied,
// and names the operation. before is what was made of the object by earlier patches of the same review, nil
// for none: what patches may copy is limited in all.
func (g Guard) Apply(req *admissionv1.AdmissionRequest, ops []*admissionv1.PatchOperation, before *Document) (*Document, error) {
	if err := g.check(req, ops); err != nil {
		return nil, err
	}
	document := NewDocument(req.GetObject())
	if before != nil {
		document.copied = before.copied
	}
	if err := document.Apply(ops); err != nil {
		return nil, err
	}
	return document, nil
}

func (g Guard) check(req *admissionv1.AdmissionRequest, ops []*admissionv1.PatchOperation) error {
	if len(ops) > 0 && len(req.GetObject()) == 0 {
		return fmt.Errorf("a patch on %s, which carries no object to patch", strings.TrimPrefix(req.GetOperation().String(), "OPERATION_"))
	}
	for i, op := range ops {
		if err := g.checkOperation(req, op); err != nil {
			return fmt.Errorf("operation %d (%s %s): %w", i, name(op.GetOp()), op.GetPath(), err)
		}
	}
	return nil
}

func (g Guard) checkOperation(req *admissionv1.AdmissionRequest, op *admissionv1.PatchOperation) error {
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
		if err := g.checkTarget(req, op.GetFrom()); err != nil {
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
	return g.checkTarget(req, op.GetPath())
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

func checkValue(value []byte) error {
	if !jsontext.Value(value).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return errors.New("its value is not JSON")
	}
	return nil
}

func (g Guard) checkTarget(req *admissionv1.AdmissionRequest, pointer string) error {
	target, err := parse(pointer)
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
	if len(g.mayPatch) == 0 {
		return nil
	}
	for _, place := range g.mayPatch {
		if within(target, place) {
			return nil
		}
	}
	return errors.New("is outside the backend's mayPatch")
}

// within tells whether target is place or lies below it; "*" in place stands for any one token.
func within(target, place []string) bool {
	if len(target) < len(place) {
		return false
	}
	for i, token := range place {
		if token != "*" && token != target[i] {
			return false
		}
	}
	return true
}

// parse splits a JSON pointer (RFC 6901) that names something below the root.
func parse(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, errors.New("would replace the whole object")
	}
	if pointer[0] != '/' {
		return nil, errors.New("is no JSON pointer: it must begin with /")
	}
	for i := range len(pointer) {
		if pointer[i] == '~' && (i+1 == len(pointer) || (pointer[i+1] != '0' && pointer[i+1] != '1')) {
			return nil, errors.New("is no JSON pointer: ~ must be written ~0 (RFC 6901)")
		}
	}
	return tokens(pointer), nil
}

func tokens(pointer string) []string {
	parts := strings.Split(pointer[1:], "/")
	for i, part := range parts {
		if strings.Contains(part, "~") {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		}
	}
	return parts
}

func name(op admissionv1.PatchOp) string {
	return strings.ToLower(strings.TrimPrefix(op.String(), "PATCH_OP_"))
}
