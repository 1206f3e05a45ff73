package validating

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// bound returns a policy about pods with the given further lines of its spec, bound to deny.
func bound(t testing.TB, spec string) *Set {
	t.Helper()
	set, err := Parse([]policy.File{{Name: "policy.yaml", Data: []byte(boundText(spec))}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func boundText(spec string) string {
	indented := strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ")
	return `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  ` + indented + `
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p, validationActions: [Deny]}
`
}

const pods = `matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}`

// A question that the request gives no means to answer is an error, never a denial; under Ignore the
// policy is passed over.
func TestUnanswerable(t *testing.T) {
	cases := map[string]struct {
		spec string
		edit func(*admissionv1.AdmissionRequest)
	}{
		"namespaceSelector without a namespace": {
			spec: `
matchConstraints:
  namespaceSelector: {matchLabels: {env: prod}}
  resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
validations: [{expression: "false"}]`,
		},
		"namespaceObject without a namespace": {
			spec: pods + "\n" + `validations: [{expression: "namespaceObject.metadata.name == 'x'"}]`,
		},
		"an object in another version": {
			spec: pods + "\n" + `validations: [{expression: "false"}]`,
			edit: func(r *admissionv1.AdmissionRequest) { // converted for a webhook registration about v2
				r.Resource.Version, r.Kind.Version = "v2", "v2"
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := podRequest(t)
			if c.edit != nil {
				c.edit(r.AdmissionRequest)
			}
			verdict, err := bound(t, c.spec).Validate(t.Context(), r, nil)
			if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'p' cannot be evaluated") {
				t.Errorf("under Fail: %v, %v", verdict, err)
			}
			verdict, err = bound(t, c.spec+"\nfailurePolicy: Ignore").Validate(t.Context(), r, nil)
			if err != nil || len(verdict.Denials) > 0 {
				t.Errorf("under Ignore: %v, %v", verdict, err)
			}
		})
	}
}

// That a binding which is about something else would have needed the namespace says nothing about the error of
// another policy: that stays a denial.
func TestNamespaceMissedByAnotherBinding(t *testing.T) {
	const other = `---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: a}
spec:
  policyName: p
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {env: prod}}
    resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [services]}]
  paramRef: {name: limits, parameterNotFoundAction: Deny}
`
	text := strings.NewReplacer("REF", "name: limits", "FAILUREPOLICY", "Fail").Replace(paramPolicy) + other
	set, err := Parse([]policy.File{{Name: "p.yaml", Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	r := podRequest(t)
	r.Namespace, r.NamespaceObject = "team-a", nil
	verdict, err := set.Validate(t.Context(), r, nil)
	if err != nil || len(verdict.Denials) != 1 || !strings.Contains(verdict.Denials[0].GetMessage(), "no params found") {
		t.Errorf("want one denial, got %v, %v", verdict, err)
	}
}

// The request speaks of v1alpha1 only, because the gate was registered for all versions: whether rules for
// another version mean the object, and what it looks like there, only kube-apiserver knows.
func TestRulesForAnotherVersion(t *testing.T) {
	const (
		rule    = `{operations: [CREATE], apiGroups: [example.com], apiVersions: [%s], resources: [%s], resourceNames: [%s], scope: %s}`
		advice  = "; name v1alpha1 in the %s's rules, or register the gate for version v1 only (matchPolicy Equivalent), so that kube-apiserver converts"
		arrived = " is about widgets.example.com in version v1, the object arrived in version v1alpha1, and only kube-apiserver can convert it"
	)
	widgets := func(versions string) string { return fmt.Sprintf(rule, versions, "widgets", "", "Namespaced") }
	constraints := func(rules, exclude, more string) string {
		return "{resourceRules: [" + rules + "], excludeResourceRules: [" + exclude + "]" + more + "}"
	}
	const denied, passed = "denied", ""
	policyError, bindingError := "the policy"+arrived+fmt.Sprintf(advice, "policy"), "the binding"+arrived+fmt.Sprintf(advice, "binding")
	everything := constraints(widgets(`"*"`), "", "")
	cases := map[string]struct{ policy, binding, want string }{
		"the version of the request":         {constraints(widgets("v1, v1alpha1"), "", ""), everything, denied},
		"another version":                    {constraints(widgets("v1"), "", ""), everything, policyError},
		"another version, Exact":             {constraints(widgets("v1"), "", ", matchPolicy: Exact"), everything, passed},
		"another version, another resource":  {constraints(fmt.Sprintf(rule, "v1", "gadgets", "", `"*"`), "", ""), everything, passed},
		"another version, another name":      {constraints(fmt.Sprintf(rule, "v1", "widgets", "other", `"*"`), "", ""), everything, passed},
		"another version, another scope":     {constraints(fmt.Sprintf(rule, "v1", "widgets", "", "Cluster"), "", ""), everything, passed},
		"another version, nothing selected":  {constraints(widgets("v1"), "", ", objectSelector: {matchLabels: {no: such}}"), everything, passed},
		"another version, binding elsewhere": {constraints(widgets("v1"), "", ""), constraints(fmt.Sprintf(rule, "v1", "gadgets", "", `"*"`), "", ""), passed},
		"a binding's":                        {everything, constraints(widgets("v1"), "", ""), bindingError},
		"a binding's, Exact":                 {everything, constraints(widgets("v1"), "", ", matchPolicy: Exact"), passed},
		"the policy's and a binding's":       {constraints(widgets("v1"), "", ""), constraints(widgets("v1"), "", ""), bindingError},
		// In doubt, nothing is excluded.
		"excluded from a binding":                 {everything, constraints("", widgets("v1"), ""), denied},
		"excluded from the policy":                {constraints(widgets(`"*"`), widgets("v1"), ""), everything, denied},
		"excluded in one of two versions":         {constraints(widgets("v2, v1"), widgets("v2"), ""), everything, policyError},
		"excluded in the version that it names":   {constraints(widgets("v1"), widgets("v1"), ""), everything, passed},
		"excluded in the version of the request":  {constraints(widgets("v1"), widgets("v1alpha1"), ""), everything, passed},
		"excluded in the version, which is Exact": {constraints(widgets("v1alpha1"), widgets("v1alpha1"), ", matchPolicy: Exact"), everything, passed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, failurePolicy := range []string{"Fail", "Ignore"} {
				set, err := Parse([]policy.File{{Name: "policy.yaml", Data: []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  failurePolicy: ` + failurePolicy + `
  matchConstraints: ` + c.policy + `
  validations: [{expression: "false", message: denied}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p, validationActions: [Deny], matchResources: ` + c.binding + `}
`)}})
				if err != nil {
					t.Fatal(err)
				}
				verdict, err := set.Validate(t.Context(), widgetRequest(), nil)
				got, want := "", c.want
				switch {
				case err != nil && status.Code(err) != codes.FailedPrecondition:
					t.Fatal(err)
				case err != nil:
					got = strings.TrimPrefix(status.Convert(err).Message(), "ValidatingAdmissionPolicy 'p' cannot be evaluated: ")
				case len(verdict.Denials) > 0:
					got = denied
				}
				if failurePolicy == "Ignore" && want != denied {
					want = passed
				}
				if got != want {
					t.Errorf("under %s: got %q, want %q", failurePolicy, got, want)
				}
			}
		})
	}
}

func widgetRequest() *sdk.Request {
	kind := &admissionv1.GroupVersionKind{Group: "example.com", Version: "v1alpha1", Kind: "Widget"}
	resource := &admissionv1.GroupVersionResource{Group: "example.com", Version: "v1alpha1", Resource: "widgets"}
	return &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
		Uid: "u", Kind: kind, RequestKind: kind, Resource: resource, RequestResource: resource, Name: "w", Namespace: "team-a",
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		Object:          []byte(`{"apiVersion":"example.com/v1alpha1","kind":"Widget","metadata":{"name":"w","namespace":"team-a"}}`),
		NamespaceObject: &admissionv1.Namespace{Name: "team-a"},
	}}
}

// An annotation's value is cut as upstream cuts it, but not through a character: half of one would not be
// UTF-8.
func TestAuditAnnotationIsCutBetweenCharacters(t *testing.T) {
	set := bound(t, pods+"\n"+`auditAnnotations: [{key: k, valueExpression: "string(object.metadata.annotations.text)"}]`)
	for name, c := range map[string]struct{ value, want string }{
		"short":               {"ä", "ä"},
		"as long as may be":   {strings.Repeat("ä", 5120), strings.Repeat("ä", 5120)},
		"cut at a character":  {strings.Repeat("ä", 5121), strings.Repeat("ä", 5120)},
		"cut in a character":  {"x" + strings.Repeat("ä", 5120), "x" + strings.Repeat("ä", 5119)},
		"cut in a longer one": {"xyz" + strings.Repeat("😀", 2560), "xyz" + strings.Repeat("😀", 2559)},
	} {
		t.Run(name, func(t *testing.T) {
			r := podRequest(t)
			r.Object = fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"text":%q}}}`, c.value)
			verdict, err := set.Validate(t.Context(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := verdict.AuditAnnotations["p/k"]; got != c.want {
				t.Errorf("got %d bytes, want %d; %v", len(got), len(c.want), verdict.Denials)
			}
		})
	}
}

type oneNamespace corev1.Namespace

func (n *oneNamespace) Get(name string) (*corev1.Namespace, error) {
	if name != n.Name {
		return nil, errors.New("not found")
	}
	return (*corev1.Namespace)(n), nil
}

func TestNamespace(t *testing.T) {
	set := bound(t, `
matchConstraints:
  namespaceSelector: {matchLabels: {env: prod}}
  resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
validations:
- {expression: "false", messageExpression: "'owner is ' + namespaceObject.metadata.annotations.owner"}`)
	prod := &oneNamespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"env": "prod"}, Annotations: map[string]string{"owner": "lister"}}}
	sent := func(env string) *admissionv1.Namespace {
		return &admissionv1.Namespace{Name: "team-a", Labels: map[string]string{"env": env}, Annotations: map[string]string{"owner": "gate"}}
	}
	cases := map[string]struct {
		sent  *admissionv1.Namespace
		known policy.Namespaces
		want  string // end of the denial; empty: allowed
	}{
		"sent with the request":         {sent: sent("prod"), want: "owner is gate"},
		"sent, and not selected":        {sent: sent("dev"), known: prod},
		"looked up when not sent":       {known: prod, want: "owner is lister"},
		"what was sent counts for more": {sent: sent("prod"), known: prod, want: "owner is gate"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := podRequest(t)
			r.NamespaceObject = c.sent
			verdict, err := set.Validate(t.Context(), r, c.known)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" != (len(verdict.Denials) == 0) || c.want != "" && !strings.HasSuffix(verdict.Denials[0].Message, c.want) {
				t.Errorf("want %q, got %v", c.want, verdict.Denials)
			}
		})
	}
}

// An expression that fails on the object is part of what the policy means, as in kube-apiserver.
func TestEvaluationError(t *testing.T) {
	spec := pods + "\n" + `validations: [{expression: "object.spec.nowhere == 1"}]`
	verdict, err := bound(t, spec).Validate(t.Context(), podRequest(t), nil)
	if err != nil || len(verdict.Denials) != 1 || verdict.Denials[0].Code != 422 ||
		!strings.HasSuffix(verdict.Denials[0].Message, "denied request: expression 'object.spec.nowhere == 1' resulted in error: no such key: nowhere") {
		t.Errorf("under Fail: %v, %v", verdict, err)
	}
	verdict, err = bound(t, spec+"\nfailurePolicy: Ignore").Validate(t.Context(), podRequest(t), nil)
	if err != nil || len(verdict.Denials) != 0 {
		t.Errorf("under Ignore: %v, %v", verdict, err)
	}
}

// All violations are told at once, where kube-apiserver tells the first.
func TestAllDenials(t *testing.T) {
	verdict, err := bound(t, pods+"\n"+`validations: [{expression: "false", message: one}, {expression: "true"}, {expression: "false", message: two}]`).
		Validate(t.Context(), podRequest(t), nil)
	if err != nil || len(verdict.Denials) != 2 || !strings.HasSuffix(verdict.Denials[1].Message, "two") {
		t.Errorf("%v, %v", verdict, err)
	}
}

// CEL reports the end of the time as an error of the expression; it must not become a denial.
func TestTimeIsUp(t *testing.T) {
	_, err := bound(t, pods+"\n"+`validations: [{expression: "object.spec.containers.all(c, c.name != '')"}]`).
		Validate(cancelled(t), podRequest(t), nil)
	if status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestBadRequest(t *testing.T) {
	set := bound(t, pods+"\n"+`validations: [{expression: "true"}]`)
	for _, field := range []string{"object", "oldObject", "options"} {
		for _, raw := range []string{"{", "[]", `"x"`} {
			r := &sdk.Request{AdmissionRequest: proto.Clone(podRequest(t).AdmissionRequest).(*admissionv1.AdmissionRequest)}
			switch field {
			case "object":
				r.Object = []byte(raw)
			case "oldObject":
				r.OldObject = []byte(raw)
			default:
				r.Options = []byte(raw)
			}
			if _, err := set.Validate(t.Context(), r, nil); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "decoding "+field) {
				t.Errorf("%s %s: %v", field, raw, err)
			}
		}
	}
	// What no policy is about is not even read.
	r := &sdk.Request{AdmissionRequest: proto.Clone(podRequest(t).AdmissionRequest).(*admissionv1.AdmissionRequest)}
	r.Object, r.Resource.Resource, r.RequestResource.Resource = []byte("{"), "nodes", "nodes"
	if _, err := set.Validate(t.Context(), r, nil); err != nil {
		t.Error(err)
	}
}
