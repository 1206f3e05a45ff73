package mutating

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
)

// podRequest is a pod of 6.6 KB as kube-apiserver sent it.
func podRequest(t testing.TB) *sdk.Request {
	t.Helper()
	return policytest.ReadRequest(t, "testdata/pod-review.json")
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
		if m, err := set.Mutate(b.Context(), r, nil); err != nil || m.Object == nil {
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

// BenchmarkLoad500 is the price of a reload of 500 policies, each with two variables, a match condition and two
// mutations.
func BenchmarkLoad500(b *testing.B) {
	files := manyPolicies(500, 3)
	for b.Loop() {
		if _, err := Parse(files); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecide is the price of a decision that three of so many policies have a say in.
func BenchmarkDecide(b *testing.B) {
	r := podRequest(b)
	for _, n := range []int{3, 10, 100, 500} {
		set, err := Parse(manyPolicies(n, 3))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if m, err := set.Mutate(b.Context(), r, nil); err != nil || m.Object == nil {
					b.Fatal(m, err)
				}
			}
		})
	}
}

// BenchmarkOtherPolicies is the price of 500 policies that are about something else.
func BenchmarkOtherPolicies(b *testing.B) {
	set, err := Parse(manyPolicies(500, 0))
	if err != nil {
		b.Fatal(err)
	}
	r := podRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if m, err := set.Mutate(b.Context(), r, nil); err != nil || m.Object != nil {
			b.Fatal(m, err)
		}
	}
}

// manyPolicies are n policies, of which those with the first names are about pods and the others about
// other resources.
func manyPolicies(n, aboutPods int) []policy.File {
	others := policytest.OtherResources()
	var files []policy.File
	for i := range n {
		about := schema.GroupResource{Resource: "pods"}
		if i >= aboutPods {
			about = others[i%len(others)]
		}
		files = append(files, policy.File{Name: fmt.Sprintf("p%03d.yaml", i), Data: fmt.Appendf(nil, `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p%03[1]d}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [%[2]q], apiVersions: [v1], resources: [%[3]s]}]}
  matchConditions: [{name: users, expression: "!request.userInfo.username.startsWith('system:node:')"}]
  variables:
  - {name: containers, expression: "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])"}
  - {name: images, expression: "string(variables.containers.filter(c, c.image != 'v%[1]d').size())"}
  mutations:
  - {patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels/l%[1]d', value: variables.images}]"}}
  - {patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{annotations: {'a%[1]d': variables.images}}}"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: p%03[1]d}
spec: {policyName: p%03[1]d}
`, i, about.Group, about.Resource)})
	}
	return files
}
