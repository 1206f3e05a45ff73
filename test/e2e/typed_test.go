package e2e

import (
	"context"
	"fmt"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// typed is the name of the webhook that sets the defaults of widgets.
const typed = "typed"

// typedWidget is the Go type of a custom resource as kubebuilder lays it out. Written as JSON it always has a
// status, which the object that is being created does not have: omitempty does not leave out a struct.
type typedWidget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              struct {
		Color string `json:"color,omitempty"`
	} `json:"spec,omitempty"`
	Status struct {
		Ready    bool `json:"ready"`
		Replicas int  `json:"replicas,omitempty"`
	} `json:"status,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (w *typedWidget) DeepCopyObject() runtime.Object {
	out := *w
	w.DeepCopyInto(&out.ObjectMeta)
	return &out
}

type colors struct{}

// Default implements admission.Defaulter.
func (colors) Default(_ context.Context, w *typedWidget) error {
	if w.Spec.Color == "" {
		w.Spec.Color = "red"
	}
	return nil
}

func typedDefaulter() *admission.Webhook {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "e2e.gatefold.dev", Version: "v1", Kind: "Widget"}, &typedWidget{})
	return admission.WithDefaulter(scheme, colors{})
}

// typedWidget registers a webhook for the widgets of a namespace of their own, creates one there, and returns
// what is stored, without what differs from one to the next.
func (w *world) typedWidget(t *testing.T, at admissionregistrationv1.WebhookClientConfig) map[string]any {
	t.Helper()
	c := w.client(t, nil)
	ns := w.bareNamespace(t, c)
	registerMutating(t, c, ns, []admissionregistrationv1.WebhookClientConfig{at}, rulesOf("e2e.gatefold.dev", "widgets"))
	widgets := c.dynamic.Resource(schema.GroupVersionResource{Group: "e2e.gatefold.dev", Version: "v1", Resource: "widgets"}).Namespace(ns)
	create := func(options metav1.CreateOptions) (*unstructured.Unstructured, error) {
		created, err := widgets.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "e2e.gatefold.dev/v1", "kind": "Widget", "metadata": map[string]any{"name": "plain"}, "spec": map[string]any{},
		}}, options)
		if err != nil {
			return nil, err
		}
		if color, _, _ := unstructured.NestedString(created.Object, "spec", "color"); color != "red" {
			return nil, fmt.Errorf("the default is not set: %v", created.Object)
		}
		return created, nil
	}
	eventually(t, func() error {
		_, err := create(metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	created := must(create(metav1.CreateOptions{}))(t)
	delete(created.Object, "metadata")
	return created.Object
}
