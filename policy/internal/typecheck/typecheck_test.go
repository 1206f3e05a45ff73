package typecheck

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/policy/internal/expression"
)

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}, port: {x-kubernetes-int-or-string: true}}}
`

func docs(t *testing.T, text string) []*document.Document {
	t.Helper()
	found, problems := document.Read([]policy.File{{Name: "f.yaml", Data: []byte(text)}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return found
}

// typeCase is an expression and what is odd about it; empty: nothing.
type typeCase struct{ about, expression, want string }

func typeCases() []typeCase {
	return []typeCase{
		{"/v1/pods", "object.spec.containers.all(c, c.image != '')", ""},
		{"/v1/pods", "object.spec.contianers.all(c, c.image != '')", "v1 Pod: undefined field 'contianers'"},
		{"/v1/pods", "object.spec.containers.all(c, c.img != '')", "v1 Pod: undefined field 'img'"},
		{"/v1/pods", "oldObject.metadata.label == ''", "v1 Pod: undefined field 'label'"},
		{"/v1/pods", "object.metadata.labels['a'] == 1", "v1 Pod: found no matching overload for '_==_' applied to '(string, int)'"},
		{"/v1/pods", "object.spec.hostNetwork && object.spec.priority > 1 && object.metadata.generation == 1", ""},
		{"/v1/pods", "quantity(object.spec.containers[0].resources.limits['cpu']).isGreaterThan(quantity('1'))", ""},
		{"/v1/pods", "object.spec.containers[0].resources.limits['cpu'] > 4", "v1 Pod: found no matching overload for '_>_' applied to '(string, int)'"},
		{"/v1/pods", "object.spec.containers[0].livenessProbe.httpGet.port == 80", ""},
		{"/v1/pods", "has(object.metadata.deletionTimestamp) && timestamp(object.metadata.creationTimestamp) < timestamp('2026-01-01T00:00:00Z')", ""},
		{"/v1/pods", "object.spec.?securityContext.?runAsNonRoot.orValue(false)", ""},
		{"/v1/pods", "authorizer.requestResource.check('use').allowed() && request.name == ''", ""},
		{"apps/v1/deployments", "object.spec.template.spec.containers.all(c, has(c.image))", ""},
		{"apps/v1/deployments", "object.spec.containers.size() > 0", "apps/v1 Deployment: undefined field 'containers'"},
		{"/v1/secrets", "object.data['a'].size() == 1 && object.type == 'x'", ""},
		{"/v1/configmaps", "object.data['a'] == 'x'", ""},
		{"rbac.authorization.k8s.io/v1/clusterroles", "object.rules.all(r, r.verbs.all(v, v != '*'))", ""},
		{"/v1/pods/exec", "object.spec.nothing", ""},
		{"/*/pods", "object.spec.nothing", ""},
		{"example.com/v1/widgets", "object.spec.size > 1 && object.metadata.labels['a'] == 'b'", ""},
		{"example.com/v1/widgets", "object.spec.sice > 1", "example.com/v1 Widget: undefined field 'sice'"},
		{"example.com/v1/widgets", "object.spec.port == 80 || object.spec.port == 'http'", ""},
		{"unknown.example.com/v1/widgets", "object.spec.sice > 1", ""},
	}
}

func constraintsOf(about string) *v1.MatchResources {
	group, rest, _ := strings.Cut(about, "/")
	version, resource, _ := strings.Cut(rest, "/")
	rule := v1.NamedRuleWithOperations{}
	rule.APIGroups, rule.APIVersions, rule.Resources = []string{group}, []string{version}, []string{resource}
	return &v1.MatchResources{ResourceRules: []v1.NamedRuleWithOperations{rule}}
}

func TestCheck(t *testing.T) {
	c := NewChecker(docs(t, definition))
	for _, tc := range typeCases() {
		t.Run(tc.about+" "+tc.expression, func(t *testing.T) {
			list := []expression.Expression{{At: field.NewPath("at"), Accessor: &validating.ValidationCondition{Expression: tc.expression}}}
			var got string
			for _, w := range c.Check(list, constraintsOf(tc.about), nil) {
				apiVersion, kind := w.Kinds[0].ToAPIVersionAndKind()
				first, _, _ := strings.Cut(w.Message, "\n")
				got += fmt.Sprintf("%s %s: %s", apiVersion, kind, regexp.MustCompile(`^ERROR: <input>:1:\d+: `).ReplaceAllString(first, ""))
			}
			if got != tc.want {
				t.Errorf("want %q, got %q", tc.want, got)
			}
		})
	}
}

// A variable is what its expression is; one that is wrong is told of once. Params have the type of their kind.
func TestVariablesAndParams(t *testing.T) {
	list := []expression.Expression{
		{At: field.NewPath("variables").Index(0), Accessor: &validating.Variable{Name: "names", Expression: "object.spec.containers.map(c, c.name)"}},
		{At: field.NewPath("variables").Index(1), Accessor: &validating.Variable{Name: "bad", Expression: "object.spec.nothing"}},
		{At: field.NewPath("validations").Index(0), Accessor: &validating.ValidationCondition{Expression: "variables.names.all(n, n > 1)"}},
		{At: field.NewPath("validations").Index(1), Accessor: &validating.ValidationCondition{Expression: "variables.bad.anything == 1"}},
		{At: field.NewPath("validations").Index(2), Accessor: &validating.ValidationCondition{Expression: "params.data.a == 1 || params.dta.a == ''"}},
	}
	var got []string
	for _, w := range NewChecker(nil).Check(list, constraintsOf("/v1/pods"), &v1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}) {
		for line := range strings.Lines(w.Message) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "ERROR: "); ok {
				got = append(got, w.At.String()+": "+rest)
			}
		}
	}
	want := []string{
		"variables[1]: <input>:1:12: undefined field 'nothing'",
		"validations[0]: <input>:1:26: found no matching overload for '_>_' applied to '(string, int)'",
		"validations[2]: <input>:1:15: found no matching overload for '_==_' applied to '(string, int)'",
		"validations[2]: <input>:1:29: undefined field 'dta'",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Objects of one kind from two places may stand together, of which upstream warns.
func TestTwoPlaces(t *testing.T) {
	for expr, odd := range map[string]bool{
		"(object.spec.containers + object.spec.?initContainers.orValue([])).all(c, c.image != '')":                           false,
		"[object.spec.containers, object.spec.initContainers].all(l, l.all(c, c.image != ''))":                               false,
		"(has(object.spec.initContainers) ? object.spec.initContainers : object.spec.containers).size() > 0":                 false,
		"object.spec.containers[0].securityContext == object.spec.initContainers[0].securityContext":                         false,
		"object.spec == object.metadata.name":                                                                                true,
		"(object.spec.containers + object.spec.?initContainers.orValue([])).all(c, c.image != '') && object.spec.imag == ''": true,
	} {
		list := []expression.Expression{{At: field.NewPath("at"), Accessor: &validating.ValidationCondition{Expression: expr}}}
		if got := NewChecker(nil).Check(list, constraintsOf("/v1/pods"), nil); len(got) > 0 != odd {
			t.Errorf("%s: odd is %t, not %t: %v", expr, len(got) > 0, odd, got)
		}
	}
}

// Of several kinds, only what is wrong for all is told.
func TestSeveralKinds(t *testing.T) {
	constraints := constraintsOf("/v1/pods")
	constraints.ResourceRules = append(constraints.ResourceRules, constraintsOf("apps/v1/deployments").ResourceRules...)
	list := []expression.Expression{
		{At: field.NewPath("a"), Accessor: &validating.Variable{Name: "spec", Expression: "object.kind == 'Pod' ? object.spec : object.spec.template.spec"}},
		{At: field.NewPath("b"), Accessor: &validating.ValidationCondition{Expression: "object.kind == 'Pod' ? object.spec.contianers != null : object.spec.template.spec.containers != null"}},
	}
	got := NewChecker(nil).Check(list, constraints, nil)
	if len(got) != 1 || got[0].At.String() != "b" || strings.Count(got[0].Message, "ERROR") != 1 || !strings.Contains(got[0].Message, "contianers") {
		t.Errorf("%+v", got)
	}
}

// TestUpstream compares with upstream's checker, which is given the same schemas, for the cases above and the
// shipped policies; with KUBECONFIG_TYPECHECK also with that checker and the schemas of a running kube-apiserver.
func TestUpstream(t *testing.T) {
	checker := NewChecker(docs(t, definition))
	same := &validating.TypeChecker{SchemaResolver: checker.schemas, RestMapper: mapper{kinds: checker.kinds}}
	var live *validating.TypeChecker
	if path := os.Getenv("KUBECONFIG_TYPECHECK"); path != "" {
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		client, err := discovery.NewDiscoveryClientForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		live = &validating.TypeChecker{SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: client}, RestMapper: mapper{kinds: checker.kinds}}
	}
	for _, p := range upstreamPolicies(t) {
		t.Run(p.Name, func(t *testing.T) {
			var list []expression.Expression
			for _, v := range p.Spec.Variables {
				list = append(list, expression.Expression{Accessor: &validating.Variable{Name: v.Name, Expression: v.Expression}})
			}
			for i, v := range p.Spec.Validations {
				at := field.NewPath("spec", "validations").Index(i)
				list = append(list, expression.Expression{At: at.Child("expression"), Accessor: &validating.ValidationCondition{Expression: v.Expression}})
				if v.MessageExpression != "" {
					list = append(list, expression.Expression{At: at.Child("messageExpression"), Accessor: &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}})
				}
			}
			got := map[string]string{}
			if len(checker.kinds.of(p.Spec.MatchConstraints)) > 1 {
				if found := checker.Check(list, p.Spec.MatchConstraints, p.Spec.ParamKind); len(found) > 0 {
					t.Errorf("a shipped policy: %v", found)
				}
				return // upstream tells of each kind by itself
			}
			for _, w := range checker.Check(list, p.Spec.MatchConstraints, p.Spec.ParamKind) {
				if w.At != nil { // a variable: upstream says nothing about them
					got[w.At.String()] += w.Message + "\n"
				}
			}
			if diff := cmp.Diff(fromUpstream(same, p), got); diff != "" {
				t.Errorf("-upstream +here:\n%s", diff)
			}
			// What it serves says nothing about quantities, so that upstream knows no field with some; and it does not
			// have the definition.
			if live != nil && !strings.Contains(p.Name, "limits") && !strings.Contains(p.Name, "sice") {
				if diff := cmp.Diff(fromUpstream(live, p), got); diff != "" {
					t.Errorf("-upstream with kube-apiserver's schemas, +here:\n%s", diff)
				}
			}
		})
	}
}

func fromUpstream(c *validating.TypeChecker, p *v1.ValidatingAdmissionPolicy) map[string]string {
	found := map[string]string{}
	ctx := c.CreateContext(p)
	for i, v := range p.Spec.Validations {
		at := field.NewPath("spec", "validations").Index(i)
		for field, source := range map[string]string{"expression": v.Expression, "messageExpression": v.MessageExpression} {
			if source == "" {
				continue
			}
			for _, r := range c.CheckExpression(ctx, source) {
				found[at.Child(field).String()] += strings.TrimSuffix(fmt.Sprint(r.Issues), "\n") + "\n"
			}
		}
	}
	return found
}

// mapper is what upstream asks for the kinds of resources.
type mapper struct {
	meta.RESTMapper
	kinds kinds
}

// KindsFor implements meta.RESTMapper.
func (m mapper) KindsFor(r schema.GroupVersionResource) ([]schema.GroupVersionKind, error) {
	if kind, ok := m.kinds[r]; ok {
		return []schema.GroupVersionKind{kind}, nil
	}
	return nil, &meta.NoResourceMatchError{PartialResource: r}
}

func upstreamPolicies(t *testing.T) []*v1.ValidatingAdmissionPolicy {
	t.Helper()
	var policies []*v1.ValidatingAdmissionPolicy
	for i, tc := range typeCases() {
		if strings.Contains(tc.expression, "authorizer.requestResource") {
			continue // upstream's checker does not know it, and warns of what works
		}
		p := &v1.ValidatingAdmissionPolicy{}
		p.Name = fmt.Sprintf("case %d: %s", i, tc.expression)
		p.Spec.MatchConstraints = constraintsOf(tc.about)
		p.Spec.Validations = []v1.Validation{{Expression: tc.expression}}
		policies = append(policies, p)
	}
	files, err := filepath.Glob("../../../deploy/policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "\n---") {
			raw, err := yaml.YAMLToJSON([]byte(part))
			if err != nil {
				t.Fatal(err)
			}
			p := &v1.ValidatingAdmissionPolicy{}
			if json.Unmarshal(raw, p) == nil && p.Kind == "ValidatingAdmissionPolicy" {
				policies = append(policies, p)
			}
		}
	}
	return policies
}
