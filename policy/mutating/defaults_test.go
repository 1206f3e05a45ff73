package mutating

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// defaultedWidget has a default for a field that may not be null.
const defaultedWidget = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {mode: {type: string, default: fast}}}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [example.com], apiVersions: [v1], resources: [widgets]}]}
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "replace", path: "/metadata/name", value: object.metadata.name}]'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p}
`

// The defaults that policies see are no changes of theirs, neither where a field is absent nor where it is null.
func TestDefaultsAreNoChanges(t *testing.T) {
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(defaultedWidget)}})
	if err != nil {
		t.Fatal(err)
	}
	client := sdktest.StartMutator(t, sdk.MutatorFunc(func(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		return set.Mutate(ctx, r, nil)
	}))
	for _, spec := range []string{`{}`, `{"mode":null}`, `{"mode":"slow"}`, `null`} {
		r := proto.CloneOf(podRequest(t).AdmissionRequest)
		r.Kind = &admissionv1.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
		r.Resource = &admissionv1.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
		r.RequestKind, r.RequestResource = r.GetKind(), r.GetResource()
		r.Object = []byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":` + spec + `}`)
		response, err := client.Mutate(t.Context(), &admissionv1.MutateRequest{Request: r})
		if err != nil || response.GetDenial() != nil || len(response.GetOperations()) != 0 {
			t.Errorf("spec %s: want no operations, got %v, %v", spec, response, err)
		}
	}
}

// What another policy has added last has its defaults in the second round, too.
func TestDefaultsInSecondRound(t *testing.T) {
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: a-tells}
spec:
  reinvocationPolicy: IfNeeded
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [services]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{annotations: {'protocols': object.spec.ports.map(p, p.protocol).join(',')}}}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: a-tells}
spec: {policyName: a-tells}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: b-adds}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [services]}]}
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/spec/ports/-', value: Object.spec.ports{port: 81, name: 'b'}}]"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b-adds}
spec: {policyName: b-adds}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	r := podRequest(t)
	r.Kind = &admissionv1.GroupVersionKind{Version: "v1", Kind: "Service"}
	r.Resource = &admissionv1.GroupVersionResource{Version: "v1", Resource: "services"}
	r.RequestKind, r.RequestResource = r.GetKind(), r.GetResource()
	r.Object = []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"name":"a","port":80,"protocol":"TCP","targetPort":80}]}}`)
	mutation, err := set.Mutate(t.Context(), r, nil)
	if err != nil || mutation.Denial != nil {
		t.Fatal(err, mutation.Denial)
	}
	if got := mutation.Object.(*corev1.Service).Annotations["protocols"]; got != "TCP,TCP" {
		t.Errorf("the first policy has seen last: %q", got)
	}
}

// The defaults that a later policy sees are kube-apiserver's to set, and no change of a backend's, which may not be
// allowed to patch there.
func TestBuiltInDefaultsAreNoChanges(t *testing.T) {
	files := ""
	for name, mutation := range map[string]string{
		"a-limits": "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', resources: Object.spec.containers.resources{limits: {'cpu': '1'}}}]}}",
		"b-adds":   "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'd', image: 'i:1'}]}}",
		"c-labels": "Object{metadata: Object.metadata{labels: {'requests': object.spec.containers[0].resources.requests.cpu, 'pull': object.spec.containers[1].imagePullPolicy}}}",
	} {
		files += strings.NewReplacer("NAME", name, "MUTATION", mutation).Replace(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: NAME}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "MUTATION"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME}
---
`)
	}
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(files)}})
	if err != nil {
		t.Fatal(err)
	}
	client := sdktest.StartMutator(t, sdk.MutatorFunc(func(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		return set.Mutate(ctx, r, nil)
	}))
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	setBuiltInDefaults(pod)
	r := proto.CloneOf(podRequest(t).AdmissionRequest)
	if r.Object, err = json.Marshal(pod); err != nil {
		t.Fatal(err)
	}
	response, err := client.Mutate(t.Context(), &admissionv1.MutateRequest{Request: r})
	if err != nil || response.GetDenial() != nil {
		t.Fatal(err, response.GetDenial())
	}
	var got []string
	for _, o := range response.GetOperations() {
		got = append(got, o.GetPath()+" "+string(o.GetValue()))
	}
	want := []string{
		`/metadata/labels {"pull":"IfNotPresent","requests":"1"}`,
		`/spec/containers/0/resources/limits {"cpu":"1"}`,
		`/spec/containers/- {"name":"d","image":"i:1","resources":{}}`,
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}
