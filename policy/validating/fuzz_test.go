package validating

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// fuzzPolicies look at much of an object, some of it carelessly.
const fuzzPolicies = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: careless}
spec:
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"]}]}
  matchConditions: [{name: m, expression: "request.operation != 'DELETE' || oldObject.metadata.name != 'skip'"}]
  variables:
  - {name: all, expression: "object.spec.containers + object.?spec.?initContainers.orValue([])"}
  - {name: names, expression: "variables.all.map(c, c.name)"}
  validations:
  - {expression: "variables.names.all(n, n.matches('^[a-z]+$'))", messageExpression: "'names ' + variables.names.join(',')"}
  - {expression: "object.metadata.labels.all(k, object.metadata.labels[k].size() < 10)", reason: Forbidden}
  - {expression: "quantity(object.spec.q).isGreaterThan(quantity('1'))", message: q}
  - {expression: "object.spec.n + 1 > 0 && object == oldObject", messageExpression: "string(object.spec.n) + string(object.spec.f)"}
  auditAnnotations: [{key: k, valueExpression: "string(object.metadata.annotations.k)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: careless}
spec: {policyName: careless, validationActions: [Deny, Audit]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: warns}
spec: {policyName: careless, validationActions: [Warn], matchResources: {objectSelector: {matchExpressions: [{key: team, operator: Exists}]}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: ignored}
spec:
  failurePolicy: Ignore
  matchConstraints: {resourceRules: [{operations: [CREATE, UPDATE], apiGroups: ["", apps], apiVersions: [v1], resources: [pods, deployments, pods/status], scope: Namespaced}]}
  validations: [{expression: "object.spec.all(k, type(object.spec[k]) != int || object.spec[k] < 5)", messageExpression: "request.name + string(has(request.namespace))"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: ignored}
spec: {policyName: ignored, validationActions: [Deny]}
`

// FuzzValidate looks for objects and requests that make the evaluator panic, or decide otherwise than upstream's
// dispatcher with upstream's own compiler.
func FuzzValidate(f *testing.F) {
	for _, object := range []string{
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"team":"x"},"annotations":{"k":"v"}},"spec":{"containers":[{"name":"c"}],"q":"1500m","n":1,"f":1.5}}`,
		`{"metadata":{"labels":{"a":1}},"spec":{"containers":{"name":"c"},"q":7,"n":9223372036854775807}}`,
		`{"metadata":{"name":"skip","labels":null},"spec":{"containers":[null,1,{"name":true}],"n":1e400}}`,
		`{"spec":[],"metadata":"x"}`, `{}`, `null`, `[]`, `{"metadata":{"labels":{"team":["x"]}}}`,
	} {
		f.Add([]byte(object), []byte(object), "", "pods", "", "team-a", uint8(1))
		f.Add([]byte(object), []byte(`{}`), "apps", "deployments", "status", "", uint8(2))
		f.Add([]byte{}, []byte(object), "example.com", "widgets", "", "team-a", uint8(3))
	}
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(fuzzPolicies)}})
	if err != nil {
		f.Fatal(err)
	}
	upstream := evaluators{}
	f.Fuzz(func(t *testing.T, object, old []byte, group, resource, subresource, namespace string, operation uint8) {
		if !utf8.ValidString(group) {
			return // protobuf has no such string, and JSON would make it another group
		}
		object, old = ofKind(object, group), ofKind(old, group)
		r := &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
			Kind:        &admissionv1.GroupVersionKind{Group: group, Version: "v1", Kind: "Kind"},
			Resource:    &admissionv1.GroupVersionResource{Group: group, Version: "v1", Resource: resource},
			SubResource: subresource, Namespace: namespace, Name: "n", Object: object, OldObject: old,
			Operation: admissionv1.Operation(operation%4 + 1),
		}}
		if namespace != "" {
			r.NamespaceObject = &admissionv1.Namespace{Name: namespace}
		}
		verdict, err := set.Validate(t.Context(), r, nil)
		if err != nil { // it cannot be read
			return
		}
		got := decisionHere(verdict)
		if diff := cmp.Diff(upstream.dispatch(t, set, r, nil), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-upstream +here:\n%s", diff)
		}
	})
}

// ofKind makes an object one of the kind that the request is about, as kube-apiserver would: upstream would convert
// any other.
func ofKind(object []byte, group string) []byte {
	var o unstructured.Unstructured
	if json.Unmarshal(object, &o.Object) != nil {
		return object
	}
	if o.Object == nil {
		return nil // null is no object
	}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Kind"})
	if o.GroupVersionKind().Group != group {
		return nil // a group with a slash in it
	}
	written, err := json.Marshal(o.Object)
	if err != nil {
		return nil
	}
	return written
}
