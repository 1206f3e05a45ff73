package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

const (
	gadgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.e2e.gatefold.dev}
spec:
  group: e2e.gatefold.dev
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [id]
                items: {type: object, required: [id], properties: {id: {type: string}, note: {type: string}}}
`
	// gadgetPolicy adds a part that says what the ConfigMap parts has, whether the user may read secrets, and how the
	// namespace fares.
	gadgetPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: gadgets}
spec:
  reinvocationPolicy: Never
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [e2e.gatefold.dev], apiVersions: [v1], resources: [gadgets]}]}
  variables:
  - {name: may, expression: "authorizer.group('').resource('secrets').namespace(object.metadata.namespace).check('get').allowed()"}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: "Object{spec: Object.spec{parts: [Object.spec.parts{id: 'b', note: params.data.note + ' ' + string(variables.may) + ' ' + namespaceObject.status.phase}]}}"
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: gadgets}
spec: {policyName: gadgets, paramRef: {name: parts, parameterNotFoundAction: Deny}}
`
)

// TestMutatingPoliciesAskTheCluster runs a mutator with a kubeconfig, whose policy takes from kube-apiserver its
// params, permissions, the namespace, and how a custom kind, which is defined while it runs, is merged.
func TestMutatingPoliciesAskTheCluster(t *testing.T) {
	w := newControlPlane(t)
	controlPlane, dir := w.controlPlane, w.dir
	admin := must(dynamic.NewForConfig(controlPlane.Config))(t)
	create := func(group, version, resource, namespace, text string) {
		t.Helper()
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		client := admin.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
		eventually(t, func() error {
			_, err := client.Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
			return err
		})
	}
	create("", "v1", "namespaces", "", `{apiVersion: v1, kind: Namespace, metadata: {name: workshop}}`)
	create("", "v1", "configmaps", "workshop", `{apiVersion: v1, kind: ConfigMap, metadata: {name: parts}, data: {note: spare}}`)
	create("rbac.authorization.k8s.io", "v1", "rolebindings", "workshop", `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: readers},
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]}`)

	files := map[string]string{
		"gatefold.yaml": "apiVersion: gatefold.dev/v1alpha1\nkind: MutatorConfig\nlisten: {clientAuth: {mode: None}}\npolicy: {paths: [p.yaml]}\n",
		"p.yaml":        gadgetPolicy,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener := sdktest.Listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- mutatorsvc.Run(ctx, mutatorsvc.Options{
			ConfigFile: filepath.Join(dir, "gatefold.yaml"), Listener: listener, Telemetry: telemetry.Discard(),
			Source: cluster.Source{Kubeconfig: controlPlane.Kubeconfig},
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := admissionv1.NewMutatorServiceClient(sdktest.Dial(t, listener))
	parts := func(user string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		request := gadgetRequest(user)
		response, err := client.Mutate(ctx, &admissionv1.MutateRequest{Request: request, Handler: mutatorsvc.Policy}, grpc.WaitForReady(true))
		if err != nil {
			return "", err
		}
		if denial := response.GetDenial(); denial != nil {
			return "", errors.New(denial.GetMessage())
		}
		var gadget struct{ Spec struct{ Parts any } }
		if err := json.Unmarshal(sdktest.Apply(t, request.GetObject(), response.GetOperations()), &gadget); err != nil {
			return "", err
		}
		return fmt.Sprint(gadget.Spec.Parts), nil
	}
	eventually(t, func() error {
		got, err := parts("reader")
		if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() !=
			"MutatingAdmissionPolicy 'gadgets' cannot be evaluated: the apiserver publishes no schema of e2e.gatefold.dev/v1, Kind=Gadget, or not yet: a CustomResourceDefinition takes some seconds" {
			return fmt.Errorf("before the kind is defined: %s, %w", got, err)
		}
		return nil
	})
	create("apiextensions.k8s.io", "v1", "customresourcedefinitions", "", gadgetDefinition)
	for user, want := range map[string]string{
		"reader":   "[map[id:a note:own] map[id:b note:spare true Active]]",
		"stranger": "[map[id:a note:own] map[id:b note:spare false Active]]",
	} {
		eventually(t, func() error {
			got, err := parts(user)
			if err == nil && got != want {
				t.Fatalf("%s: want %s, got %s", user, want, got)
			}
			return err
		})
	}
}

func gadgetRequest(user string) *admissionv1.AdmissionRequest {
	kind := &admissionv1.GroupVersionKind{Group: "e2e.gatefold.dev", Version: "v1", Kind: "Gadget"}
	resource := &admissionv1.GroupVersionResource{Group: "e2e.gatefold.dev", Version: "v1", Resource: "gadgets"}
	return &admissionv1.AdmissionRequest{
		Uid: "1", Kind: kind, RequestKind: kind, Resource: resource, RequestResource: resource, Name: "g", Namespace: "workshop",
		Operation: admissionv1.Operation_OPERATION_CREATE, UserInfo: &admissionv1.UserInfo{Username: user},
		Object: []byte(`{"apiVersion":"e2e.gatefold.dev/v1","kind":"Gadget","metadata":{"name":"g","namespace":"workshop"},"spec":{"parts":[{"id":"a","note":"own"}]}}`),
	}
}
