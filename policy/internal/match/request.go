package match

import (
	"cmp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	kjson "sigs.k8s.io/json"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/policy"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Request is an admission request as k8s.io/apiserver's packages see it.
type Request struct {
	admission.Attributes
	// Kind is the kind in which the object arrived. It is not GetKind() when kube-apiserver converted the
	// object for the webhook registration.
	Kind schema.GroupVersionKind
	// Resource belongs to Kind as GetResource() belongs to GetKind().
	Resource schema.GroupVersionResource
	// Namespace is nil when it is not known.
	Namespace *corev1.Namespace
	// Convertible are further versions in which Resource is served, and to which the object can be converted by
	// writing them into it. Nil: none are known.
	Convertible []string
	// WholeNamespace: Namespace is all that the cluster has, and not its name, labels and annotations only.
	WholeNamespace bool
}

// NewRequest reads all of a request but its objects, which most requests do not need.
func NewRequest(r *sdk.Request, known policy.Namespaces) *Request {
	kind, resource := gvk(r.GetKind()), gvr(r.GetResource())
	original, originalResource := gvk(r.GetRequestKind()), gvr(r.GetRequestResource())
	if originalResource.Empty() {
		original, originalResource = kind, resource // v1beta1 may leave them out
	}
	q := &Request{
		Attributes: admission.NewAttributesRecord(nil, nil, original, r.GetNamespace(), r.GetName(), originalResource,
			r.GetSubResource(), operation(r.GetOperation()), nil, r.GetDryRun(), userInfo(r.GetUserInfo())),
		Kind:     kind,
		Resource: resource,
	}
	q.Namespace, q.WholeNamespace = namespaceOf(r, known)
	return q
}

// Decode adds the objects.
func (q *Request) Decode(r *sdk.Request) error {
	if q.GetOperation() == admission.Connect {
		return q.DecodeWith(r, decodeBare)
	}
	return q.DecodeWith(r, decodeUnstructured)
}

// DecodeWith adds the objects as decode reads them from their JSON, which is never empty.
func (q *Request) DecodeWith(r *sdk.Request, decode func(raw []byte) (runtime.Object, error)) error {
	object, err := decodeObject("object", r.GetObject(), decode)
	if err != nil {
		return err
	}
	old, err := decodeObject("oldObject", r.GetOldObject(), decode)
	if err != nil {
		return err
	}
	options, err := decodeOptions(r)
	if err != nil {
		return err
	}
	q.set(object, old, options)
	return nil
}

// SetObject replaces the object.
func (q *Request) SetObject(object runtime.Object) {
	q.set(object, q.GetOldObject(), q.GetOperationOptions())
}

func (q *Request) set(object, old, options runtime.Object) {
	q.Attributes = admission.NewAttributesRecord(object, old, q.GetKind(), q.GetNamespace(), q.GetName(), q.GetResource(),
		q.GetSubresource(), q.GetOperation(), options, q.IsDryRun(), q.GetUserInfo())
}

// Versioned is the object in the version in which it arrived.
func (q *Request) Versioned() *admission.VersionedAttributes {
	v := &admission.VersionedAttributes{Attributes: q.Attributes, VersionedKind: q.Kind}
	if object := q.GetObject(); object != nil {
		v.VersionedObject.Set(object)
	}
	if old := q.GetOldObject(); old != nil {
		v.VersionedOldObject.Set(old)
	}
	return v
}

// decodeObject returns nil for no object; a nil interface, because upstream compares with nil.
func decodeObject(what string, raw []byte, decode func(raw []byte) (runtime.Object, error)) (runtime.Object, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	object, err := decode(raw)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "decoding %s: %v", what, err)
	}
	return object, nil
}

func decodeUnstructured(raw []byte) (runtime.Object, error) {
	var object map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &object); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: object}, nil
}

// decodeOptions gives the options the Go type that they have in kube-apiserver. CONNECT has none.
func decodeOptions(r *sdk.Request) (runtime.Object, error) {
	raw := r.GetOptions()
	if len(raw) == 0 {
		return nil, nil
	}
	var options runtime.Object
	switch r.GetOperation() {
	case admissionv1.Operation_OPERATION_CREATE:
		options = &metav1.CreateOptions{}
	case admissionv1.Operation_OPERATION_UPDATE:
		options = &metav1.UpdateOptions{}
	case admissionv1.Operation_OPERATION_DELETE:
		options = &metav1.DeleteOptions{}
	default:
		return decodeObject("options", raw, decodeUnstructured)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, options); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "decoding options: %v", err)
	}
	return options, nil
}

func operation(o admissionv1.Operation) admission.Operation {
	switch o {
	case admissionv1.Operation_OPERATION_CREATE:
		return admission.Create
	case admissionv1.Operation_OPERATION_UPDATE:
		return admission.Update
	case admissionv1.Operation_OPERATION_DELETE:
		return admission.Delete
	case admissionv1.Operation_OPERATION_CONNECT:
		return admission.Connect
	default:
		return ""
	}
}

func gvk(k *admissionv1.GroupVersionKind) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.GetGroup(), Version: k.GetVersion(), Kind: k.GetKind()}
}

func gvr(r *admissionv1.GroupVersionResource) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.GetGroup(), Version: r.GetVersion(), Resource: r.GetResource()}
}

func userInfo(u *admissionv1.UserInfo) user.Info {
	info := &user.DefaultInfo{Name: u.GetUsername(), UID: u.GetUid(), Groups: u.GetGroups()}
	if extra := u.GetExtra(); len(extra) > 0 {
		info.Extra = make(map[string][]string, len(extra))
		for key, value := range extra {
			info.Extra[key] = authenticationv1.ExtraValue(value.GetValues())
		}
	}
	return info
}

// namespaceOf returns the request's namespace, and whether it is the whole; nil when it has none or it is not
// known. Labels and annotations that came with the request count for more than those that are known here: the
// gate has matched by them. What else there is of a namespace only a view of the cluster has.
func namespaceOf(r *sdk.Request, known policy.Namespaces) (namespace *corev1.Namespace, whole bool) {
	sent := r.GetNamespaceObject()
	if r.GetNamespace() == "" && sent == nil {
		return nil, false
	}
	if known != nil {
		// That it is not known may not matter: it depends on the policies.
		if found, err := known.Get(cmp.Or(sent.GetName(), r.GetNamespace())); err == nil {
			namespace = found
		}
	}
	switch {
	case sent == nil && namespace == nil:
		return nil, false
	case namespace == nil:
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sent.GetName(), Labels: sent.GetLabels(), Annotations: sent.GetAnnotations()}}, false
	}
	own := *namespace // of which only what is changed below is not shared
	if own.Status.Phase == "" {
		own.Status.Phase = corev1.NamespaceActive // the default of kube-apiserver, for one in a file
	}
	if sent != nil {
		own.Labels, own.Annotations = sent.GetLabels(), sent.GetAnnotations()
	}
	return &own, true
}
