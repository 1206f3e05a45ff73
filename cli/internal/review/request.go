// Package review asks a gate about the objects of manifests, as kube-apiserver would, and tells what
// became of each.
package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/resource"
	"github.com/gatefold/gatefold/cli/internal/tree"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Requests makes admission requests of objects.
type Requests struct {
	// Mapper finds resources.
	Mapper *resource.Mapper
	// Operation is what is done to every object: CREATE, UPDATE or DELETE.
	Operation admissionv1.Operation
	// Namespace is where namespaced objects go that do not say it themselves.
	Namespace string
	// User and Groups are who asks. Everybody is also in group system:authenticated, as in kube-apiserver.
	User   string
	Groups []string
	// Existing are the objects of the cluster; UPDATE finds the old object among them.
	Existing []manifest.Object
	// DryRun says that the change will be discarded.
	DryRun bool
}

// subject is an object on its way through the gate.
type subject struct {
	manifest.Object
	request *admissionv1.AdmissionRequest
	// root is the object as the gate sees it: with its namespace.
	root *tree.Node
	// implicit tells that the namespace is not from the manifest.
	implicit bool
	// notes are what the user should know about how the request came about.
	notes []string
	// unchanged tells that an UPDATE compares the object with itself.
	unchanged bool
}

func (r *Requests) subject(o manifest.Object) (*subject, error) {
	gvk, res, err := r.Mapper.OfObject(o.Root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Source, err)
	}
	s := &subject{Object: o, root: o.Root.Clone()}
	if o.IsImageReview() {
		r.imageReview(s, gvk, res)
		return s, nil
	}
	if res.Guessed {
		s.notes = append(s.notes, guess(gvk, res))
	}
	namespace := ""
	switch {
	case res.Namespaced:
		namespace = cmp.Or(o.Namespace(), r.Namespace)
		s.implicit = o.Namespace() == ""
		s.root.Get("metadata").Set("namespace", tree.NewString(namespace), "name")
	case gvk.GroupKind() == schema.GroupKind{Kind: "Namespace"}:
		namespace = o.Name() // kube-apiserver sends a namespace as being in itself
	}
	s.request = &admissionv1.AdmissionRequest{
		Uid:             string(uuid.NewUUID()),
		Kind:            kind(gvk),
		Resource:        resourceOf(res.GroupVersionResource),
		RequestKind:     kind(gvk),
		RequestResource: resourceOf(res.GroupVersionResource),
		Name:            o.Name(),
		Namespace:       namespace,
		Operation:       r.Operation,
		UserInfo:        &admissionv1.UserInfo{Username: r.User, Groups: append(slices.Clip(r.Groups), "system:authenticated")},
		DryRun:          r.DryRun,
		Options:         options(r.Operation),
	}
	if r.Operation != admissionv1.Operation_OPERATION_DELETE {
		s.request.Object = s.root.JSON()
	}
	if r.Operation != admissionv1.Operation_OPERATION_CREATE {
		old := r.old(s, namespace)
		if old == nil {
			old = s.root
			s.unchanged = r.Operation == admissionv1.Operation_OPERATION_UPDATE
		}
		s.request.OldObject = old.JSON()
	}
	return s, nil
}

// guess says what was guessed about a kind, and what may have been meant.
func guess(gvk schema.GroupVersionKind, res resource.Resource) string {
	question := "is the apiVersion right?"
	if known := resource.Versions(gvk.Kind); len(known) > 0 {
		question = "did you mean " + strings.Join(known, " or ") + "?"
	}
	if strings.Contains(gvk.Group, ".") { // as the groups of custom kinds must
		question += " For a custom kind give its CustomResourceDefinition in --objects"
	}
	return fmt.Sprintf("the resource of %s %s is guessed to be %s; %s", gvk.GroupVersion(), gvk.Kind, res.Resource, question)
}

// old finds the object as it was: the one of the same name in the cluster; nil when there is none.
func (r *Requests) old(s *subject, namespace string) *tree.Node {
	for _, e := range r.Existing {
		if e.APIVersion() == s.APIVersion() && e.Kind() == s.Kind() && e.Name() == s.Name() && (s.request.Namespace == "" || cmp.Or(e.Namespace(), r.Namespace) == namespace) {
			old := e.Root.Clone()
			if ns := s.root.Get("metadata", "namespace"); ns != nil {
				old.Get("metadata").Set("namespace", ns, "name")
			}
			return old
		}
	}
	return nil
}

// asWritten returns a state of the object without the namespace that only the request added, so that
// what comes out is what came in and the changes.
func (s *subject) asWritten(state *tree.Node) *tree.Node {
	if !s.implicit || state.GetString("metadata", "namespace") != s.request.GetNamespace() {
		return state
	}
	state = state.Clone()
	state.Get("metadata").Delete("namespace")
	return state
}

func options(op admissionv1.Operation) []byte {
	kinds := map[admissionv1.Operation]string{
		admissionv1.Operation_OPERATION_CREATE: "CreateOptions",
		admissionv1.Operation_OPERATION_UPDATE: "UpdateOptions",
		admissionv1.Operation_OPERATION_DELETE: "DeleteOptions",
	}
	return fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q}`, kinds[op], "meta.k8s.io/"+metav1.SchemeGroupVersion.Version)
}

func kind(gvk schema.GroupVersionKind) *admissionv1.GroupVersionKind {
	return &admissionv1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
}

func resourceOf(gvr schema.GroupVersionResource) *admissionv1.GroupVersionResource {
	return &admissionv1.GroupVersionResource{Group: gvr.Group, Version: gvr.Version, Resource: gvr.Resource}
}
