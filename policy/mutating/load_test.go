package mutating

import (
	"context"
	"flag"
	"testing"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestProblems holds what is said about bad files against testdata/load/*.golden.
func TestProblems(t *testing.T) { policytest.Problems(t, parseError, *update) }

func parseError(files []policy.File) error {
	_, err := Parse(files)
	return err
}

// FuzzDocuments looks for files that make the reader panic, or say something useless. It leaves out the CEL
// compiler, which is upstream's and too slow for it.
func FuzzDocuments(f *testing.F) {
	sdktest.Seeds(f, "testdata/load/*.yaml", "testdata/dispatch/*.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, problems := document.Read([]policy.File{{Name: "f", Data: data}})
		for _, d := range docs {
			var p v1.MutatingAdmissionPolicy
			problems = append(problems, d.Decode(&p)...)
			setPolicyDefaults(&p)
			problems = append(problems, d.Problems(checkPolicy(&p))...)
			var b v1.MutatingAdmissionPolicyBinding
			problems = append(problems, d.Decode(&b)...)
			setBindingDefaults(&b)
			problems = append(problems, d.Problems(checkBinding(&b))...)
		}
		custom := &kinds{custom: map[schema.GroupVersionKind]*customKind{}}
		for _, p := range append(problems, custom.learn(docs)...) {
			if p.Line < 1 || p.Message == "" {
				t.Fatalf("bad problem: %+v", p)
			}
		}
	})
}

// FuzzObjects looks for objects of which the policies make something that does not apply, or that panic.
func FuzzObjects(f *testing.F) {
	var all []policy.File
	for i, mutation := range mutations()[6:9] {
		name := string(rune('a' + i))
		all = append(all, policy.File{Name: name, Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: ` + name + `}
spec:
  failurePolicy: Ignore
  reinvocationPolicy: IfNeeded
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*"]}]}
  mutations: [` + mutation + `]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: ` + name + `}
spec: {policyName: ` + name + `}
`)})
	}
	set, err := Parse(all)
	if err != nil {
		f.Fatal(err)
	}
	client := sdktest.StartMutator(f, sdk.MutatorFunc(func(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		return set.Mutate(ctx, r, nil)
	}))
	pod := podRequest(f)
	f.Add(pod.GetObject(), true)
	f.Add(pod.GetObject(), false)
	f.Add([]byte(`{"spec":{"containers":[{"name":"c0"},{"name":"c0"}]},"metadata":{"labels":null}}`), true)
	f.Add([]byte(`{"spec":{"containers":[1,[],{},null]},"spec":null,"metadata":[]}`), false)
	f.Fuzz(func(t *testing.T, object []byte, typed bool) {
		r := podRequest(t).AdmissionRequest
		r.Object = object
		if !typed {
			kind := &admissionv1.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Pod"}
			r.Kind, r.RequestKind = kind, kind
		}
		response, err := client.Mutate(t.Context(), &admissionv1.MutateRequest{Request: r})
		if err != nil || response.GetDenial() != nil {
			return
		}
		sdktest.Apply(t, object, response.GetOperations())
	})
}
