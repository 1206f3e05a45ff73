package policy

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// bound returns a policy about pods with the given further lines of its spec, bound to deny.
func bound(t *testing.T, spec string) *Set {
	t.Helper()
	indented := strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ")
	set, err := Parse([]File{{Name: "policy.yaml", Data: []byte(`
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
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
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
		known Namespaces
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
