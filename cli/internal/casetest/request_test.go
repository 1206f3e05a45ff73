package casetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gatefold/gatefold/cli/internal/resource"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

const requests = `
apiVersion: gatefold.dev/v1alpha1
kind: Test
policies: [policy.yaml]
cases:
- name: a creation
  object: {apiVersion: v1, kind: Pod, metadata: {name: web, uid: a}, spec: {priority: 1.0}}
  expect: {allowed: true}
- name: an update, as a dry run
  dryRun: true
  user: {username: jane, uid: u, groups: [a], extra: {scopes: [x, y]}}
  namespace: shop
  subresource: status
  object: {apiVersion: v1, kind: Pod, metadata: {name: web}}
  oldObject: {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {}}
  expect: {allowed: true}
- name: a deletion
  oldObject: {apiVersion: v1, kind: Node, metadata: {name: node}}
  expect: {allowed: true}
- name: a connection
  operation: CONNECT
  subresource: exec
  object: {apiVersion: v1, kind: PodExecOptions, metadata: {name: web, namespace: shop}, command: [ls]}
  expect: {allowed: true}
- name: a connection to a node
  operation: CONNECT
  subresource: proxy
  object: {apiVersion: v1, kind: NodeProxyOptions, metadata: {name: node}, path: /}
  expect: {allowed: true}
- name: a token
  subresource: token
  object: {apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {name: ci, namespace: shop}}
  expect: {allowed: true}
- name: a custom kind, of which nobody knows more
  object: {apiVersion: farm.example.com/v1, kind: Cow, metadata: {name: berta}}
  expect: {allowed: true}
`

// TestQuestion holds requests against what kube-apiserver sends, member by member.
func TestQuestion(t *testing.T) {
	kind := func(group, version, kind string) *admissionv1.GroupVersionKind {
		return &admissionv1.GroupVersionKind{Group: group, Version: version, Kind: kind}
	}
	resources := func(group, version, name string) *admissionv1.GroupVersionResource {
		return &admissionv1.GroupVersionResource{Group: group, Version: version, Resource: name}
	}
	admin := &admissionv1.UserInfo{Username: "kubernetes-admin", Groups: []string{"system:authenticated"}}
	want := []*admissionv1.AdmissionRequest{
		{
			Kind: kind("", "v1", "Pod"), Resource: resources("", "v1", "pods"), Name: "web", Namespace: "default",
			Operation: admissionv1.Operation_OPERATION_CREATE, UserInfo: admin,
			Object:  []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"default","uid":"a"},"spec":{"priority":1.0}}`),
			Options: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`),
		},
		{
			Kind: kind("", "v1", "Pod"), Resource: resources("", "v1", "pods"), SubResource: "status", Name: "web", Namespace: "shop",
			Operation: admissionv1.Operation_OPERATION_UPDATE, DryRun: true,
			UserInfo: &admissionv1.UserInfo{
				Username: "jane", Uid: "u", Groups: []string{"a", "system:authenticated"},
				Extra: map[string]*admissionv1.ExtraValue{"scopes": {Values: []string{"x", "y"}}},
			},
			Object:    []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop"}}`),
			OldObject: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop"},"spec":{}}`),
			Options:   []byte(`{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1","dryRun":["All"]}`),
		},
		{
			Kind: kind("", "v1", "Node"), Resource: resources("", "v1", "nodes"), Name: "node",
			Operation: admissionv1.Operation_OPERATION_DELETE, UserInfo: admin,
			OldObject: []byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node"}}`),
			Options:   []byte(`{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/v1"}`),
		},
		{
			Kind: kind("", "v1", "PodExecOptions"), Resource: resources("", "v1", "pods"), SubResource: "exec", Name: "web", Namespace: "shop",
			Operation: admissionv1.Operation_OPERATION_CONNECT, UserInfo: admin,
			Object: []byte(`{"apiVersion":"v1","kind":"PodExecOptions","command":["ls"]}`),
		},
		{
			Kind: kind("", "v1", "NodeProxyOptions"), Resource: resources("", "v1", "nodes"), SubResource: "proxy", Name: "node",
			Operation: admissionv1.Operation_OPERATION_CONNECT, UserInfo: admin,
			Object: []byte(`{"apiVersion":"v1","kind":"NodeProxyOptions","path":"/"}`),
		},
		{
			Kind: kind("authentication.k8s.io", "v1", "TokenRequest"), Resource: resources("", "v1", "serviceaccounts"), SubResource: "token",
			Name: "ci", Namespace: "shop", Operation: admissionv1.Operation_OPERATION_CREATE, UserInfo: admin,
			Object:  []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","metadata":{"name":"ci","namespace":"shop"}}`),
			Options: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`),
		},
		{
			Kind: kind("farm.example.com", "v1", "Cow"), Resource: resources("farm.example.com", "v1", "cows"), Name: "berta", Namespace: "default",
			Operation: admissionv1.Operation_OPERATION_CREATE, UserInfo: admin,
			Object:  []byte(`{"apiVersion":"farm.example.com/v1","kind":"Cow","metadata":{"name":"berta","namespace":"default"}}`),
			Options: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`),
		},
	}
	docs, problems := parse("a_test.yaml", []byte(requests))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	d := docs[0]
	if len(d.Cases) != len(want) {
		t.Fatalf("%d cases", len(d.Cases))
	}
	for i, c := range d.Cases {
		t.Run(c.Name, func(t *testing.T) {
			q, note, problems := d.question(i, resource.NewMapper(nil))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if guessed := i == len(want)-1; guessed != (note != "") {
				t.Errorf("note %q", note)
			}
			if q.Request.GetUid() == "" {
				t.Error("no uid")
			}
			w := want[i]
			w.RequestKind, w.RequestResource, w.RequestSubResource = w.GetKind(), w.GetResource(), w.GetSubResource()
			if diff := cmp.Diff(w, q.Request, protocmp.Transform(), protocmp.IgnoreFields(w, "uid")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
