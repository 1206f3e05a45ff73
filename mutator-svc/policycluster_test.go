package mutatorsvc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// paramPolicy sets the label mutate to what the ConfigMap NAME says, for who may use it in a namespace that is active.
const paramPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  reinvocationPolicy: Never
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  matchConditions: [{name: may, expression: "!authorizer.group('').resource('secrets').namespace('team-a').check('get').allowed()"}]
  variables: [{name: phase, expression: "namespaceObject.status.phase"}]
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'mutate': params.data.value + variables.phase}}}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: p}
spec: {policyName: p, paramRef: {name: NAME, parameterNotFoundAction: Deny}}
`

// What policies ask of a cluster, a service that was started with one answers; one policy that lacks something keeps
// nobody out of service, and is denied for.
func TestPoliciesAskTheCluster(t *testing.T) {
	const objects = `
apiVersion: v1
kind: Namespace
metadata: {name: team-a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: team-a}
data: {value: first}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two, namespace: team-a}
data: {value: second}
`
	folder := t.TempDir()
	file := filepath.Join(folder, "p.yaml")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, strings.ReplaceAll(paramPolicy, "NAME", "gone"))
	write(filepath.Join(folder, "objects.yaml"), objects)
	s := start(t, strings.ReplaceAll(policyConfig, "PATH", file), func(string) cluster.Source {
		return cluster.Source{ObjectFiles: []string{filepath.Join(folder, "objects.yaml")}}
	})
	eventually(t, "ready", func() bool { return s.health(t) == grpc_health_v1.HealthCheckResponse_SERVING })
	response, err := s.mutate(t, mutatorsvc.Policy)
	if err != nil || !strings.Contains(response.GetDenial().GetMessage(), "no params found") {
		t.Errorf("without its param: %v, %v", response, err)
	}
	write(file, strings.ReplaceAll(paramPolicy, "NAME", "one"))
	label := func() string {
		response, err := s.mutate(t, mutatorsvc.Policy)
		if err != nil || response.GetDenial() != nil {
			return ""
		}
		return s.labelOf(t, mutatorsvc.Policy)
	}
	eventually(t, "the param", func() bool { return label() == "firstActive" })
	write(file, strings.ReplaceAll(paramPolicy, "NAME", "two"))
	eventually(t, "another one", func() bool { return label() == "secondActive" })
}
