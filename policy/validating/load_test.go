package validating

import (
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/admissionregistration/v1"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestProblems holds what is said about bad files against testdata/load/*.golden.
func TestProblems(t *testing.T) { policytest.Problems(t, parseError, *update) }

func parseError(files []policy.File) error {
	_, err := Parse(files)
	return err
}

func TestNotes(t *testing.T) {
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: stray}
spec: {policyName: gone, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1beta1
kind: ValidatingAdmissionPolicy
metadata: {name: unbound}
spec:
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  validations: [{expression: "false"}]
---
# Not for this service: skipped unread.
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: other}
spec: {anything: goes}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`p.yaml:2: ValidatingAdmissionPolicyBinding 'stray' does nothing: there is no policy "gone" in these files`,
		`p.yaml:7: ValidatingAdmissionPolicy 'unbound' does nothing: no binding in these files names it`,
	}
	if diff := cmp.Diff(want, set.Notes()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if len(set.Policies()) != 0 {
		t.Errorf("policies in force: %v", set.Policies())
	}
}

// Each of the services is given files that are only for the other.
func TestNotesOtherKind(t *testing.T) {
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: other}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"p.yaml:2: MutatingAdmissionPolicy 'other' does nothing here, and there is no ValidatingAdmissionPolicy in these files; " +
		"name it in policy.paths of a MutatorConfig"}
	if diff := cmp.Diff(want, set.Notes()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// Names in rules that are those of nothing: kube-apiserver takes them, and the policy is never asked.
func TestNotesNames(t *testing.T) {
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  matchConstraints:
    resourceRules:
    - {operations: ["*"], apiGroups: ["", apps, v1], apiVersions: [v1], resources: [pods, pods/exec]}
    - {operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: [Pod]}
    excludeResourceRules:
    - {operations: ["*"], apiGroups: [""], apiVersions: ["*"], resources: [Pods/exec]}
  validations: [{expression: "true"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec:
  policyName: p
  validationActions: [Deny]
  matchResources:
    resourceRules:
    - {operations: ["*"], apiGroups: [v1beta1], apiVersions: ["*"], resources: ["*"]}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`p.yaml:22: spec.matchResources.resourceRules[0].apiGroups: ValidatingAdmissionPolicyBinding 'b': "v1beta1" is no group but a version; the group of pods is ""`,
		`p.yaml:8: spec.matchConstraints.resourceRules[0].apiGroups: ValidatingAdmissionPolicy 'p': "v1" is no group but a version; the group of pods is ""`,
		`p.yaml:9: spec.matchConstraints.resourceRules[1].resources: ValidatingAdmissionPolicy 'p': "Pod" is no resource; they are written in lower case and the plural, as pods`,
		`p.yaml:11: spec.matchConstraints.excludeResourceRules[0].resources: ValidatingAdmissionPolicy 'p': "Pods/exec" is no resource; they are written in lower case and the plural, as pods`,
	}
	if diff := cmp.Diff(want, set.Notes()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// An object of another version of the paramKind is no param, and would not stand in place of the cluster's, either:
// that must not go unseen.
func TestParamsOfAnotherVersion(t *testing.T) {
	param := func(version, name string) string {
		return "---\napiVersion: example.com/" + version + "\nkind: Limit\nmetadata: {name: " + name + ", namespace: team-a}\n"
	}
	text := strings.NewReplacer("REF", "name: old", "FAILUREPOLICY", "Fail", "apiVersion: v1, kind: ConfigMap", "apiVersion: example.com/v1, kind: Limit").Replace(paramPolicy) +
		param("v1", "both") + param("v1beta1", "both") + param("v1beta1", "old")
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"p.yaml:24: Limit 'old' is no param of ValidatingAdmissionPolicy 'p', whose paramKind is example.com/v1 Limit: write it as apiVersion example.com/v1"}
	if diff := cmp.Diff(want, set.Notes()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// FuzzDocuments looks for files that make the reader panic, or say something useless. It leaves out the CEL
// compiler, which is upstream's and too slow for it.
func FuzzDocuments(f *testing.F) {
	sdktest.Seeds(f, "testdata/load/*.yaml", library+"/*.yaml")
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("\n---\n--- x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, problems := document.Read([]policy.File{{Name: "f", Data: data}})
		for _, d := range docs {
			var p v1.ValidatingAdmissionPolicy
			problems = append(problems, d.Decode(&p)...)
			setPolicyDefaults(&p)
			problems = append(problems, d.Problems(checkPolicy(&p))...)
			var b v1.ValidatingAdmissionPolicyBinding
			problems = append(problems, d.Decode(&b)...)
			setBindingDefaults(&b)
			problems = append(problems, d.Problems(checkBinding(&b))...)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Message == "" {
				t.Fatalf("bad problem: %+v", p)
			}
		}
	})
}
