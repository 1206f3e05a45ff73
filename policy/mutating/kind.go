package mutating

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
)

// kind is how objects of one kind are treated. Those of built-in kinds have their Go types while policies are
// evaluated, as in kube-apiserver: what a policy writes must fit them, and what they do not know is not seen by
// it. Others are maps.
type kind struct {
	gvk   schema.GroupVersionKind
	typed bool
	// customScale: it is the scale of a custom resource.
	customScale bool
	custom      *customKind                 // nil where no CustomResourceDefinition is known
	merges      managedfields.TypeConverter // nil: schemas knows
	schemas     Schemas
	interfaces  admission.ObjectInterfaces
}

// interfaces are what upstream's patchers need. It has no defaults of built-in kinds: see setBuiltInDefaults.
func interfaces() admission.ObjectInterfaces {
	return &admission.RuntimeObjectInterfaces{ObjectCreater: scheme.Scheme, ObjectTyper: scheme.Scheme, ObjectConvertor: scheme.Scheme}
}

// decode reads an object.
func (k *kind) decode(raw []byte) (runtime.Object, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return nil, errors.New("not a JSON object")
	}
	if !k.typed {
		u := &unstructured.Unstructured{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &u.Object); err != nil {
			return nil, err
		}
		k.setDefaults(u)
		return u, nil
	}
	object, err := scheme.Scheme.New(k.gvk)
	if err != nil {
		return nil, err
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, object); err != nil {
		return nil, err
	}
	object.GetObjectKind().SetGroupVersionKind(k.gvk)
	return object, nil
}

// complete gives what a patcher returned the shape that the next one wants.
func (k *kind) complete(object runtime.Object) (runtime.Object, error) {
	if k.customScale { // kube-apiserver cannot do it either
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s", k.gvk.GroupVersion())
	}
	if k.typed {
		return scheme.Scheme.ConvertToVersion(object, k.gvk.GroupVersion())
	}
	if u, ok := object.(*unstructured.Unstructured); ok {
		k.setDefaults(u)
	}
	return object, nil
}

// setDefaults sets the defaults that the CustomResourceDefinition gives.
func (k *kind) setDefaults(u *unstructured.Unstructured) {
	if k.custom != nil && u.GroupVersionKind() == k.gvk {
		defaulting.Default(u.Object, k.custom.structural)
	}
}

// convertBack restates what kube-apiserver does with the object after the last policy: it converts it to the
// version in which it keeps objects, which fails for one that says that it is something else. It restates
// crConverter of k8s.io/apiextensions-apiserver pkg/apiserver/conversion for the versions that are known.
func (k *kind) convertBack(object runtime.Object) (runtime.Object, error) {
	gvk := object.GetObjectKind().GroupVersionKind()
	if gvk == k.gvk {
		return object, nil
	}
	known := []string{k.gvk.Version}
	if k.custom != nil {
		known = k.custom.versions
	}
	var err error
	switch {
	case k.typed:
		err = fmt.Errorf("converting (%s) to (%s): unknown conversion", gvk, k.gvk)
	case gvk.Group != k.gvk.Group:
		err = fmt.Errorf("%v is unstructured and is not suitable for converting to %q", gvk.String(), k.gvk.GroupVersion())
	case !slices.Contains(known, gvk.Version):
		err = fmt.Errorf("request to convert CR from an invalid group/version: %s", gvk.GroupVersion())
	default:
		object = object.DeepCopyObject()
		object.GetObjectKind().SetGroupVersionKind(k.gvk.GroupVersion().WithKind(gvk.Kind))
		return object, nil
	}
	return nil, apierrors.NewInternalError(fmt.Errorf("failed to convert object: %w", err))
}

// result is changed as the answer wants it: without what only this package has added to raw, the object as it
// came.
func (k *kind) result(raw []byte, changed runtime.Object) (any, error) {
	u, ok := changed.(*unstructured.Unstructured)
	if !ok {
		return changed, nil
	}
	var came map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &came); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "decoding object: %v", err)
	}
	var structural *structuralschema.Structural
	if k.custom != nil {
		structural = k.custom.structural
	}
	settleEmpty(u.Object, structural)
	if k.custom != nil {
		defaulted := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(came)}
		k.setDefaults(defaulted)
		withoutDefaults(u.Object, defaulted.Object, came)
	}
	return u.Object, nil
}

// withoutDefaults takes from changed the members that defaulted has and came has not, or has null, unless a policy
// gave them another value. Lists are compared element by element, from their beginning.
func withoutDefaults(changed, defaulted, came any) {
	switch c := changed.(type) {
	case map[string]any:
		d, ok := defaulted.(map[string]any)
		o, was := came.(map[string]any)
		if !ok || !was {
			return
		}
		for name, value := range d {
			now, isThere := c[name]
			original, wasThere := o[name]
			switch {
			case !isThere:
			case wasThere && original == nil && value != nil: // null, which the default takes the place of
				if reflect.DeepEqual(now, value) {
					c[name] = nil
				}
			case wasThere:
				withoutDefaults(now, value, original)
			case reflect.DeepEqual(now, value):
				delete(c, name)
			}
		}
	case []any:
		d, ok := defaulted.([]any)
		o, was := came.([]any)
		if !ok || !was {
			return
		}
		for i := range min(len(c), len(d), len(o)) {
			withoutDefaults(c[i], d[i], o[i])
		}
	}
}
