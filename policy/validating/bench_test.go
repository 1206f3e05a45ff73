package validating

import (
	"fmt"
	"testing"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
)

// podRequest is a pod of 6.6 KB as kube-apiserver sent it.
func podRequest(t testing.TB) *sdk.Request {
	t.Helper()
	return policytest.ReadRequest(t, "testdata/pod-review.json")
}

// BenchmarkValidate evaluates the shipped policies on one pod, from its JSON to the verdict.
func BenchmarkValidate(b *testing.B) {
	set, err := Load([]string{library})
	if err != nil {
		b.Fatal(err)
	}
	r := podRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Validate(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOtherPolicies is the price of 500 policies that are about something else.
func BenchmarkOtherPolicies(b *testing.B) {
	files := manyPolicies(500, 0)
	set, err := Parse(files)
	if err != nil || len(set.Policies()) != len(files) {
		b.Fatal(err)
	}
	r := podRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Validate(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad is the price of a reload of the shipped policies.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load([]string{library}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad500 is the price of a reload of 500 policies, each with two variables, a match condition, two
// validations and a message expression.
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
				if _, err := set.Validate(b.Context(), r, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// manyPolicies are n policies, of which those with the first names are about pods and the others about
// other resources.
func manyPolicies(n, aboutPods int) []policy.File {
	others := policytest.OtherResources()
	var files []policy.File
	for i := range n {
		group, resource := "", "pods"
		if i >= aboutPods {
			other := others[i%len(others)]
			group, resource = other.Group, other.Resource
		}
		files = append(files, policy.File{Name: fmt.Sprintf("p%03d.yaml", i), Data: fmt.Appendf(nil, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p%03[1]d}
spec:
  matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [%[2]q], apiVersions: [v1], resources: [%[3]s]}]}
  matchConditions: [{name: users, expression: "!request.userInfo.username.startsWith('system:node:')"}]
  variables:
  - {name: containers, expression: "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])"}
  - {name: bad, expression: "variables.containers.filter(c, c.image.endsWith(':v%[1]d')).map(c, c.name)"}
  validations:
  - {expression: "variables.bad.size() == 0", messageExpression: "'images not allowed: ' + variables.bad.join(', ')"}
  - {expression: "!has(object.metadata.labels) || object.metadata.labels.all(k, k.size() < 100)"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: p%03[1]d}
spec: {policyName: p%03[1]d, validationActions: [Deny]}
`, i, group, resource)})
	}
	return files
}
