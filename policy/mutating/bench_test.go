package mutating

import (
	"encoding/json"
	"os"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
)

// podRequest is a pod of 6.6 KB as kube-apiserver sent it.
func podRequest(t testing.TB) *sdk.Request {
	t.Helper()
	data, err := os.ReadFile("testdata/pod-review.json")
	if err != nil {
		t.Fatal(err)
	}
	var review reviewv1.AdmissionReview
	if err := json.Unmarshal(data, &review); err != nil {
		t.Fatal(err)
	}
	return policytest.Request(t, review.Request, nil)
}

// bound returns a policy about pods with the given mutation, bound.
func bound(t testing.TB, mutation string) *Set {
	t.Helper()
	return boundAbout(t, "", "pods", mutation)
}

// boundAbout is bound for another resource.
func boundAbout(t testing.TB, group, resource, mutation string) *Set {
	t.Helper()
	set, err := Parse([]policy.File{{Name: "policy.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: ["` + group + `"], apiVersions: [v1], resources: ["` + resource + `"]}]}
  mutations: [` + mutation + `]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const (
	jsonPatch = `{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "proxy", image: "mesh/proxy:1", args: ["run"]}}]'}}`
	applied   = `{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "proxy", image: "mesh/proxy:1", restartPolicy: "Always"}]}}'}}`
)

func BenchmarkJSONPatch(b *testing.B) { benchmark(b, jsonPatch) }

func BenchmarkApplyConfiguration(b *testing.B) { benchmark(b, applied) }

// benchmark evaluates one policy on one pod, from its JSON to the changed object; the SDK's comparison of the two
// comes on top.
func benchmark(b *testing.B, mutation string) {
	set, r := bound(b, mutation), podRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if m, err := set.Mutate(b.Context(), r, Known{}); err != nil || m.Object == nil {
			b.Fatal(m, err)
		}
	}
}

// BenchmarkLoad is the price of a reload: most of it is the schemas of the built-in kinds.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		bound(b, applied)
	}
}
