package fold

import (
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// objectLimit is the largest request that etcd takes (go.etcd.io/etcd/server/embed, DefaultMaxRequestBytes).
const objectLimit = 3 << 20 / 2

// Verify makes sure that kube-apiserver can do what it is told: it applies the patches of all parts to req's
// object with the library that kube-apiserver applies them with, and decodes the result as kube-apiserver
// does. A patch that fails there is an error for the user under every failure policy
// (k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go). The error, a *PatchError, comes with
// the index of the first part that makes the object unusable.
func Verify(req *admissionv1.AdmissionRequest, parts []*Part) (culprit int, err error) {
	ops := operations(parts)
	if verify(req, ops) == nil {
		return 0, nil
	}
	for i, part := range parts { // mistakes are rare, so finding whose it was may cost
		before := operations(parts[:i])
		err := verify(req, slices.Concat(before, part.Ops))
		if err == nil {
			continue
		}
		// What one operation spoils, a later one may mend: it is the last one after which it stays spoiled.
		j := len(part.Ops) - 1
		for ; j > 0 && verify(req, slices.Concat(before, part.Ops[:j])) != nil; j-- {
		}
		return i, &PatchError{Index: j, Op: part.Ops[j], Err: err}
	}
	return 0, nil
}

func operations(parts []*Part) []*admissionv1.PatchOperation {
	var ops []*admissionv1.PatchOperation
	for _, part := range parts {
		ops = append(ops, part.Ops...)
	}
	return ops
}

func verify(req *admissionv1.AdmissionRequest, ops []*admissionv1.PatchOperation) error {
	if len(ops) == 0 {
		return nil
	}
	object, err := applyUpstream(req.GetObject(), ops)
	if err != nil {
		return fmt.Errorf("kube-apiserver could not apply the patch: %w", err)
	}
	if len(object) > objectLimit && len(object) > len(req.GetObject()) {
		return fmt.Errorf("the patch makes the object %d bytes large, and etcd stores at most %d", len(object), objectLimit)
	}
	if err := decodes(req.GetKind(), object); err != nil && decodes(req.GetKind(), req.GetObject()) == nil {
		return fmt.Errorf("after the patch the object is no %s any more: %w", req.GetKind().GetKind(), err)
	}
	return nil
}

// applyUpstream applies ops with kube-apiserver's library. That panics at some patches, for which the
// goroutine of a request would be gone there. What may be copied is limited by Document: the library has
// that limit in a variable of the whole process.
func applyUpstream(object []byte, ops []*admissionv1.PatchOperation) (patched []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("its library panics: %v", r)
		}
	}()
	patch := make(jsonpatch.Patch, len(ops))
	for i, op := range ops {
		patch[i] = jsonpatch.Operation{"op": text(name(op.GetOp())), "path": text(op.GetPath())}
		if op.GetFrom() != "" {
			patch[i]["from"] = text(op.GetFrom())
		}
		if len(op.GetValue()) > 0 {
			value := json.RawMessage(op.GetValue())
			patch[i]["value"] = &value
		}
	}
	return patch.Apply(object)
}

func text(s string) *json.RawMessage {
	quoted := json.RawMessage(quote(s))
	return &quoted
}

// decodes says why object is not of that kind. Of a kind that is not built into Kubernetes only the
// metadata can be judged.
func decodes(kind *admissionv1.GroupVersionKind, object []byte) error {
	var typed runtime.Object = &metav1.PartialObjectMetadata{}
	if builtIn, err := scheme.Scheme.New(schema.GroupVersionKind{Group: kind.GetGroup(), Version: kind.GetVersion(), Kind: kind.GetKind()}); err == nil {
		typed = builtIn
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(object, typed)
}
