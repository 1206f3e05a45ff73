package mutating

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// labelled is a policy that sets a label, with further lines of its spec.
func labelled(t *testing.T, spec string) *Set {
	t.Helper()
	set, err := Parse([]policy.File{{Name: "policy.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  reinvocationPolicy: Never
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'l': variables.v}}}"}}]
  ` + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ") + `
---
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const pods = `matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}`

// A question that the request gives no means to answer is an error, never a denial; under Ignore the policy is
// passed over.
func TestUnanswerable(t *testing.T) {
	cases := map[string]struct{ spec, want string }{
		"namespaceSelector without a namespace": {
			spec: `
matchConstraints:
  namespaceSelector: {matchLabels: {env: prod}}
  resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
variables: [{name: v, expression: "'x'"}]`,
			want: "no view of the cluster's namespaces",
		},
		"namespaceObject without a namespace": {
			spec: pods + "\n" + `variables: [{name: v, expression: "namespaceObject.metadata.name"}]`,
			want: "no view of the cluster's namespaces",
		},
		"another version": {
			spec: strings.Replace(pods, "[v1]", "[v2]", 1) + "\n" + `variables: [{name: v, expression: "'x'"}]`,
			want: "only kube-apiserver can convert it",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			mutation, err := labelled(t, c.spec).Mutate(t.Context(), podRequest(t), nil)
			if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), c.want) {
				t.Errorf("under Fail: %v, %v", mutation, err)
			}
			mutation, err = labelled(t, c.spec+"\nfailurePolicy: Ignore").Mutate(t.Context(), podRequest(t), nil)
			if err != nil || mutation.Object != nil || mutation.Denial != nil {
				t.Errorf("under Ignore: %v, %v", mutation, err)
			}
		})
	}
}

// CEL reports the end of the time as an error of the expression; it must not become a denial.
func TestTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, spec := range []string{
		`variables: [{name: v, expression: "string(object.spec.containers.all(c, c.name != ''))"}]`,
		"matchConditions: [{name: c, expression: \"object.spec.containers.all(c, c.name != '')\"}]\n" + `variables: [{name: v, expression: "''"}]`,
	} {
		if _, err := labelled(t, pods+"\n"+spec).Mutate(ctx, podRequest(t), nil); status.Code(err) != codes.Canceled {
			t.Errorf("%s: got %v", spec, err)
		}
	}
}

// An expression that runs away is a failure of its policy.
func TestCost(t *testing.T) {
	r := podRequest(t)
	r.Object = fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"a":%q}}}`, strings.Repeat("a", 100_000))
	spec := pods + "\n" + `variables: [{name: v, expression: "string([1,2,3,4,5,6,7,8,9].all(x, [1,2,3,4,5,6,7,8,9].all(y, [1,2,3,4,5,6,7,8,9].all(z, object.metadata.annotations.a.contains('aaaa' + string(x))))))"}]`
	spec = strings.ReplaceAll(spec, "contains('aaaa' + string(x))", "matches('a+' + string(x) + '?')")
	mutation, err := labelled(t, spec).Mutate(t.Context(), r, nil)
	if err != nil || mutation.Denial == nil || !strings.Contains(mutation.Denial.GetMessage(), "cost limit exceeded") {
		t.Errorf("under Fail: %v, %v", mutation, err)
	}
	mutation, err = labelled(t, spec+"\nfailurePolicy: Ignore").Mutate(t.Context(), r, nil)
	if err != nil || mutation.Denial != nil || mutation.Object != nil {
		t.Errorf("under Ignore: %v, %v", mutation, err)
	}
}

func TestBadRequest(t *testing.T) {
	set := labelled(t, pods+"\n"+`variables: [{name: v, expression: "'x'"}]`)
	for _, field := range []string{"object", "oldObject", "options"} {
		for _, raw := range []string{"{", "[]", `"x"`, `{"metadata": {"name": 5}}`} {
			r := &sdk.Request{AdmissionRequest: proto.CloneOf(podRequest(t).AdmissionRequest)}
			switch field {
			case "object":
				r.Object = []byte(raw)
			case "oldObject":
				r.OldObject = []byte(raw)
			default:
				r.Options = []byte(strings.Replace(raw, `{"metadata": {"name": 5}}`, `{"dryRun": 5}`, 1))
			}
			if _, err := set.Mutate(t.Context(), r, nil); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "decoding "+field) {
				t.Errorf("%s %s: %v", field, raw, err)
			}
		}
	}
	for name, edit := range map[string]func(*admissionv1.AdmissionRequest){
		"what no policy is about is not even read": func(r *admissionv1.AdmissionRequest) {
			r.Object, r.Resource.Resource, r.RequestResource.Resource = []byte("{"), "nodes", "nodes"
		},
		"nor is a deletion": func(r *admissionv1.AdmissionRequest) {
			r.Object, r.OldObject, r.Operation = nil, []byte("{"), admissionv1.Operation_OPERATION_DELETE
		},
	} {
		r := podRequest(t)
		edit(r.AdmissionRequest)
		if mutation, err := set.Mutate(t.Context(), r, nil); err != nil || mutation.Object != nil {
			t.Errorf("%s: %v, %v", name, mutation, err)
		}
	}
}

// What of a custom resource's definition is not here is guessed, and said.
func TestCustomResources(t *testing.T) {
	const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
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
              mode: {type: string, default: auto}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, size: {type: integer, default: 3}, note: {type: string}}}
`
	text := func(expression string) string {
		return `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [example.com], apiVersions: [v1], resources: [widgets]}]}
  mutations:
  - {patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{spec: Object.spec{parts: [Object.spec.parts{name: "b", note: "new"}]}}'}}
  - {patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{spec: Object.spec{` + expression + `}}'}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p}
---`
	}
	const seen = `note: object.spec.parts.map(p, p.name + string(p.?size.orValue(0))).join(",") + object.spec.?mode.orValue("")`
	cases := map[string]struct {
		files string
		want  string // the changes, or the denial
		note  bool
	}{
		"with its definition": {
			// Defaults are seen by what comes later, and are not written where only this program has set them.
			files: text(`parts: [Object.spec.parts{name: "a", `+seen+`}]`) + definition,
			want: `[{"op":"add","path":"/spec/parts/0/note","value":"a1,b3auto"} ` +
				`{"op":"add","path":"/spec/parts/1","value":{"name":"b","note":"new","size":3}}]`,
		},
		"without": {
			files: text(seen),
			want: `[{"op":"add","path":"/spec/note","value":"b0"} {"op":"replace","path":"/spec/parts/0/name","value":"b"} ` +
				`{"op":"add","path":"/spec/parts/0/note","value":"new"} {"op":"remove","path":"/spec/parts/0/size"}]`,
			note: true,
		},
		"a field that the definition does not have": {
			files: text(`bogus: 1`) + definition,
			want:  "policy 'p' with binding 'b' denied request: error applying patch: failed to convert patch object to typed object: .spec.bogus: field not declared in schema",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, err := Parse([]policy.File{{Name: "f.yaml", Data: []byte(c.files)}})
			if err != nil {
				t.Fatal(err)
			}
			if c.note != (len(set.Notes()) == 1 && strings.Contains(set.Notes()[0], "no schema of widgets.example.com")) {
				t.Errorf("notes: %v", set.Notes())
			}
			kind := &admissionv1.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
			resource := &admissionv1.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
			object := []byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"parts":[{"name":"a","size":1}]}}`)
			response, err := mutate(t, set, &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
				Kind: kind, RequestKind: kind, Resource: resource, RequestResource: resource, Name: "w", Namespace: "n",
				Operation: admissionv1.Operation_OPERATION_CREATE, Object: object,
			}})
			if err != nil {
				t.Fatal(err)
			}
			got := response.GetDenial().GetMessage()
			if response.GetDenial() == nil {
				got = fmt.Sprint(sdktest.Changes(t, object, sdktest.Apply(t, object, response.GetOperations())))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What kube-apiserver 1.36.3 was seen to say of kinds whose schema it does not find.
func TestSubresources(t *testing.T) {
	const (
		apply = `{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{annotations: {'a': 'b'}}}"}}`
		json  = `{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/annotations', value: {'a': 'b'}}]"}}`
	)
	cases := map[string]struct {
		group, resource, subresource string
		kind                         *admissionv1.GroupVersionKind
		mutation, want               string // want is the end of the denial; empty: it is changed
	}{
		"a scale":                   {"apps", "deployments", "scale", &admissionv1.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}, json, ""},
		"a scale, applied":          {"apps", "deployments", "scale", &admissionv1.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}, apply, "no corresponding type for autoscaling/v1, Kind=Scale"},
		"a custom resource's scale": {"example.com", "widgets", "scale", &admissionv1.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}, json, "request to convert CR to an invalid group/version: autoscaling/v1"},
		"an eviction, applied":      {"", "pods", "eviction", &admissionv1.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}, apply, "no corresponding type for policy/v1, Kind=Eviction"},
		"a binding, applied":        {"", "pods", "binding", &admissionv1.GroupVersionKind{Version: "v1", Kind: "Binding"}, apply, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set := boundAbout(t, "*", c.resource+"/"+c.subresource, c.mutation)
			resource := &admissionv1.GroupVersionResource{Group: c.group, Version: "v1", Resource: c.resource}
			object := fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,"metadata":{"name":"x"}}`,
				strings.TrimPrefix(c.kind.Group+"/"+c.kind.Version, "/"), c.kind.Kind)
			response, err := mutate(t, set, &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
				Kind: c.kind, RequestKind: c.kind, Resource: resource, RequestResource: resource, SubResource: c.subresource, RequestSubResource: c.subresource,
				Name: "x", Namespace: "n", Operation: admissionv1.Operation_OPERATION_CREATE, Object: object,
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got := response.GetDenial().GetMessage(); !strings.HasSuffix(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("want %q, got %q", c.want, got)
			}
			if c.want == "" && len(response.GetOperations()) != 1 {
				t.Errorf("operations: %v", response.GetOperations())
			}
		})
	}
}

// What one policy cannot be told says nothing about another: that one's expression fails on the object, and denies it.
func TestUnanswerableIsOnesOwn(t *testing.T) {
	failing := labelledFile("a-fails", "", "object.metadata.annotations['none']")
	passedOver := labelledFile("b-ignores", "failurePolicy: Ignore\n  "+
		"matchConstraints: {namespaceSelector: {matchLabels: {env: prod}}, resourceRules: [{operations: ['*'], apiGroups: [''], apiVersions: [v1], resources: [pods]}]}", "'x'")
	for name, files := range map[string][]policy.File{"alone": {failing}, "beside": {failing, passedOver}} {
		t.Run(name, func(t *testing.T) {
			set, err := Parse(files)
			if err != nil {
				t.Fatal(err)
			}
			mutation, err := set.Mutate(t.Context(), podRequest(t), nil)
			if err != nil || mutation.Denial == nil {
				t.Errorf("%+v, %v; want a denial", mutation, err)
			}
		})
	}
}

func labelledFile(name, spec, value string) policy.File {
	if !strings.Contains(spec, "matchConstraints") {
		spec += pods
	}
	return policy.File{Name: name + ".yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: ` + name + `}
spec:
  reinvocationPolicy: Never
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'l': ` + value + `}}}"}}]
  ` + spec + `
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: ` + name + `}
spec: {policyName: ` + name + `}
`)}
}
