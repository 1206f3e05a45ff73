package route

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	kjson "sigs.k8s.io/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Namespaces looks namespaces up by name.
type Namespaces interface {
	Get(ctx context.Context, name string) (*corev1.Namespace, error)
}

// View shows one request to Matchers, and decodes of it only what they come to ask for, once. It
// belongs to one goroutine; the request must not change while it is in use.
type View struct {
	req        *admissionv1.AdmissionRequest
	namespaces Namespaces
	requested  admission.Attributes // with the resource as it was requested
	sent       admission.Attributes // with the resource as kube-apiserver sent it; neither has objects

	current, old *partial
	whole        *admission.VersionedAttributes
}

// partial is what selectors look at. A kind without metadata, such as PodExecOptions, has none.
type partial struct {
	Metadata *metadata `json:"metadata"`
}

type metadata struct {
	Labels map[string]string `json:"labels"`
}

// NewView returns a view of req. namespaces answers what namespaceSelectors ask.
func NewView(req *admissionv1.AdmissionRequest, namespaces Namespaces) *View {
	v := &View{req: req, namespaces: namespaces}
	v.sent = v.attributes(nil, nil)
	v.requested = v.sent
	if r := req.GetRequestResource(); r.GetResource() != "" && (!same(r, req.GetResource()) || req.GetRequestSubResource() != req.GetSubResource()) {
		v.requested = v.record(nil, nil, req.GetRequestKind(), r, req.GetRequestSubResource())
	}
	return v
}

func same(a, b *admissionv1.GroupVersionResource) bool {
	return a.GetGroup() == b.GetGroup() && a.GetVersion() == b.GetVersion() && a.GetResource() == b.GetResource()
}

func (v *View) attributes(current, old runtime.Object) admission.Attributes {
	return v.record(current, old, v.req.GetKind(), v.req.GetResource(), v.req.GetSubResource())
}

func (v *View) record(current, old runtime.Object, kind *admissionv1.GroupVersionKind, resource *admissionv1.GroupVersionResource, subresource string) admission.Attributes {
	u := v.req.GetUserInfo()
	return admission.NewAttributesRecord(current, old,
		schema.GroupVersionKind{Group: kind.GetGroup(), Version: kind.GetVersion(), Kind: kind.GetKind()},
		v.req.GetNamespace(), v.req.GetName(),
		schema.GroupVersionResource{Group: resource.GetGroup(), Version: resource.GetVersion(), Resource: resource.GetResource()},
		subresource, operations[v.req.GetOperation()], nil, v.req.GetDryRun(),
		&user.DefaultInfo{Name: u.GetUsername(), UID: u.GetUid(), Groups: u.GetGroups(), Extra: extra(u)})
}

func extra(u *admissionv1.UserInfo) map[string][]string {
	if len(u.GetExtra()) == 0 {
		return nil
	}
	out := make(map[string][]string, len(u.GetExtra()))
	for key, value := range u.GetExtra() {
		out[key] = value.GetValues()
	}
	return out
}

func (v *View) namespace(ctx context.Context) (*corev1.Namespace, error) {
	return v.namespaces.Get(ctx, v.req.GetNamespace())
}

// metadata returns the labels of the object and the old object, nil for one that is absent or has no
// metadata at all.
func (v *View) metadata() (current, old *metadata, err error) {
	if v.current == nil {
		if v.current, err = decodePartial("object", v.req.GetObject()); err != nil {
			return nil, nil, err
		}
		if v.old, err = decodePartial("oldObject", v.req.GetOldObject()); err != nil {
			return nil, nil, err
		}
	}
	return v.current.Metadata, v.old.Metadata, nil
}

// GetLabels returns the labels, none for nil.
func (m *metadata) GetLabels() map[string]string {
	if m == nil {
		return nil
	}
	return m.Labels
}

// objects returns what object.Matcher needs of the object and the old object.
func (v *View) objects() (current, old runtime.Object, err error) {
	c, o, err := v.metadata()
	if err != nil {
		return nil, nil, err
	}
	return labelled(c), labelled(o), nil
}

// labelled returns an untyped nil for no metadata: upstream's matcher takes any other nil for an object.
func labelled(m *metadata) runtime.Object {
	if m == nil {
		return nil
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Labels: m.Labels}}
}

func decodePartial(what string, data []byte) (*partial, error) {
	out := &partial{}
	if len(data) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(data, out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("reading the labels of %s: %w", what, err)
	}
	return out, nil
}

// versioned returns the request as CEL sees it, objects and all.
func (v *View) versioned() (*admission.VersionedAttributes, error) {
	if v.whole != nil {
		return v.whole, nil
	}
	options, err := v.options()
	if err != nil {
		return nil, err
	}
	// As upstream has it: request.kind is that of the objects; the resources, and request.requestKind, are
	// those of the original request (matchconditions.Match passes the attributes' own for both resources).
	whole := &admission.VersionedAttributes{Attributes: withOptions{v.requested, options}, VersionedKind: v.sent.GetKind()}
	for _, o := range []struct {
		what string
		data []byte
		into *admission.LazyObject
	}{{"object", v.req.GetObject(), &whole.VersionedObject}, {"oldObject", v.req.GetOldObject(), &whole.VersionedOldObject}} {
		if len(o.data) == 0 {
			continue
		}
		var content map[string]any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(o.data, &content); err != nil {
			return nil, fmt.Errorf("decoding %s for matchConditions: %w", o.what, err)
		}
		o.into.Set(&unstructured.Unstructured{Object: content})
	}
	v.whole = whole
	return whole, nil
}

// options returns the request's options, nil for none.
func (v *View) options() (runtime.Object, error) {
	if len(v.req.GetOptions()) == 0 {
		return nil, nil
	}
	var content map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(v.req.GetOptions(), &content); err != nil {
		return nil, fmt.Errorf("decoding options for matchConditions: %w", err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// withOptions are attributes with the operation's options, which only match conditions look at.
type withOptions struct {
	admission.Attributes
	options runtime.Object
}

// GetOperationOptions returns the options, nil for none.
func (w withOptions) GetOperationOptions() runtime.Object { return w.options }

var operations = map[admissionv1.Operation]admission.Operation{
	admissionv1.Operation_OPERATION_CREATE:  admission.Create,
	admissionv1.Operation_OPERATION_UPDATE:  admission.Update,
	admissionv1.Operation_OPERATION_DELETE:  admission.Delete,
	admissionv1.Operation_OPERATION_CONNECT: admission.Connect,
}
