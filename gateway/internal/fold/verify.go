package fold

import (
	"bytes"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/codec"
)

// objectLimit is the largest request that etcd takes (go.etcd.io/etcd/server/embed, DefaultMaxRequestBytes).
const objectLimit = 3 << 20 / 2

// Verify makes sure that kube-apiserver can do what it is told: it applies the patches of all parts, as they are
// written in the answer, to req's object with the library that kube-apiserver applies them with, and decodes the
// result as kube-apiserver does. A patch that fails there is an error for the user under every failure policy
// (k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go). The error, a *PatchError, comes with
// the index of the first part that makes the object unusable.
//
// came is the document of req's object that the patches were made for. Most of an object no patch goes near, and
// no mutator looked into; that is left out as long as there is nothing to complain of, for the library parses and
// copies all that it is given several times.
func Verify(req *admissionv1.AdmissionRequest, parts []*Part, came *Document) (culprit int, err error) {
	var ops []*admissionv1.PatchOperation
	for _, part := range parts {
		ops = append(ops, part.Ops...)
	}
	if outlined(req, ops) {
		if _, err = verify(req, came.outline(nil, came.root), ops); err == nil {
			return 0, nil
		}
	}
	if _, err = verify(req, req.GetObject(), ops); err == nil {
		return 0, nil
	}
	object := req.GetObject() // mistakes are rare, so finding whose it was may cost
	for i, part := range parts {
		next, partErr := verify(req, object, part.Ops)
		if partErr != nil {
			return i, blame(req, object, part.Ops, partErr)
		}
		object = next
	}
	return len(parts) - 1, blame(req, object, parts[len(parts)-1].Ops, err) // each passes, and all together do not
}

// outlined tells whether the outline of an object has all that verifying ops depends on. A value that is moved may
// not be of the right type where it goes, and how large the object becomes only the whole of it says.
func outlined(req *admissionv1.AdmissionRequest, ops []*admissionv1.PatchOperation) bool {
	size := len(req.GetObject())
	for _, op := range ops {
		if op.GetOp() == admissionv1.PatchOp_PATCH_OP_MOVE {
			return false
		}
		size += len(op.GetPath()) + len(op.GetValue())
	}
	return size <= objectLimit
}

// outline writes v without the objects and arrays that nobody has looked into; of elements null is left, so that
// the others keep their indices. It is for a document without changes.
func (d *Document) outline(to []byte, v *value) []byte {
	switch v.parts.form {
	case object:
		to = append(to, '{')
		for _, m := range v.parts.members {
			if !m.value.closed() {
				to = append(append(to, m.key...), ':')
				to = append(d.outline(to, m.value), ',')
			}
		}
		return append(trimComma(to), '}')
	case array:
		to = append(to, '[')
		for _, e := range v.parts.elements {
			if e.closed() {
				to = append(to, "null,"...)
			} else {
				to = append(d.outline(to, e), ',')
			}
		}
		return append(trimComma(to), ']')
	default:
		return append(to, v.raw...)
	}
}

func trimComma(text []byte) []byte { return bytes.TrimSuffix(text, []byte{','}) }

// blame names the operation after which object is unusable. A patch may spoil and mend it several times; then
// it is one of those.
func blame(req *admissionv1.AdmissionRequest, object []byte, ops []*admissionv1.PatchOperation, err error) error {
	good, bad := 0, len(ops) // of that many operations the first ones pass, or not
	for good+1 < bad {
		middle := (good + bad) / 2
		if _, middleErr := verify(req, object, ops[:middle]); middleErr != nil {
			bad, err = middle, middleErr
		} else {
			good = middle
		}
	}
	return &PatchError{Index: bad - 1, Op: ops[bad-1], Err: err}
}

// verify returns object with ops applied, or why kube-apiserver could not use it.
func verify(req *admissionv1.AdmissionRequest, object []byte, ops []*admissionv1.PatchOperation) ([]byte, error) {
	if len(ops) == 0 {
		return object, nil
	}
	patched, err := applyUpstream(object, ops)
	if err != nil {
		return nil, fmt.Errorf("kube-apiserver could not apply the patch: %w", err)
	}
	if size := stored(patched); size > objectLimit && size > stored(object) {
		return nil, fmt.Errorf("the patch makes the object %d bytes large, and etcd stores at most %d", size, objectLimit)
	}
	if err := decodes(req.GetKind(), patched); err != nil && decodes(req.GetKind(), object) == nil {
		return nil, fmt.Errorf("after the patch the object is no %s any more: %w", req.GetKind().GetKind(), err)
	}
	return patched, nil
}

// applyUpstream applies ops with kube-apiserver's library, from the bytes that kube-apiserver gets: a null is not
// the same to the library when it comes another way. It panics at some patches, for which the goroutine of a
// request would be gone there. Its limit of what may be copied, a variable of the whole process, is not needed:
// Document answers without "copy".
func applyUpstream(object []byte, ops []*admissionv1.PatchOperation) (patched []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("its library panics: %v", r)
		}
	}()
	encoded, err := codec.EncodePatch(ops)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	return patch.Apply(object)
}

// stored is about how large an object is in etcd. In a review, and in what the library writes, each of <, > and &
// takes six bytes, and one where it is stored.
func stored(object []byte) int {
	size := len(object)
	if size <= objectLimit {
		return size
	}
	for _, escaped := range [][]byte{[]byte(`\u003c`), []byte(`\u003e`), []byte(`\u0026`)} {
		size -= bytes.Count(object, escaped) * (len(escaped) - 1)
	}
	return size
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
