package review

import (
	"cmp"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/gatefold/gatefold/cli/internal/resource"
	"github.com/gatefold/gatefold/cli/internal/tree"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// imageReview makes the request that the gate makes of an ImageReview: it is created, by nobody, in the namespace
// that it names, and no backend is told that it is only a question.
func (r *Requests) imageReview(s *subject, gvk schema.GroupVersionKind, res resource.Resource) {
	namespace := cmp.Or(s.Namespace(), r.Namespace)
	if s.Namespace() == "" {
		s.root.Get("spec").Set("namespace", tree.NewString(namespace), "")
	}
	if s.root.Get("metadata") == nil { // the plugin always sends it, and objectSelectors tell one from the other
		s.root.Set("metadata", &tree.Node{Kind: tree.Object}, "kind")
	}
	if r.Operation != admissionv1.Operation_OPERATION_CREATE {
		s.notes = append(s.notes, fmt.Sprintf("%s: an ImageReview is always created, whatever is done to the pod", s.Source))
	}
	s.request = &admissionv1.AdmissionRequest{
		Uid:             string(uuid.NewUUID()),
		Kind:            kind(gvk),
		Resource:        resourceOf(res.GroupVersionResource),
		RequestKind:     kind(gvk),
		RequestResource: resourceOf(res.GroupVersionResource),
		Namespace:       namespace,
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		Object:          s.root.JSON(),
	}
}

// phases asks about s as kube-apiserver does: all mutators, then all validators about what they made of it. Of an
// ImageReview nothing can be changed, and only validators are asked.
func (v *Reviewer) phases(ctx context.Context, r *Result, s *subject) error {
	if s.IsImageReview() {
		r.Final = s.Root
		return v.validate(ctx, r, s, nil)
	}
	final, err := v.mutate(ctx, r, s)
	if err != nil || r.Verdict != Allowed {
		return err
	}
	return v.validate(ctx, r, s, final)
}
