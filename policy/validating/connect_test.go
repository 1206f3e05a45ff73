package validating

import (
	"testing"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// What connects to a pod has no metadata, and so no labels that a selector might find to be absent: in kube-apiserver
// it is found by the empty selector only.
func TestConnectHasNoLabels(t *testing.T) {
	const rules = `resourceRules: [{operations: [CONNECT], apiGroups: [""], apiVersions: [v1], resources: [pods/exec]}]`
	const denied = `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: sh PodExecOptions`
	cases := map[string]struct{ selector, want string }{
		"none":           {`{}`, denied},
		"by label":       {`{matchLabels: {a: b}}`, ""},
		"without label":  {`{matchExpressions: [{key: a, operator: DoesNotExist}]}`, ""},
		"other than one": {`{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}`, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			set := bound(t, `
matchConstraints:
  objectSelector: `+tc.selector+`
  `+rules+`
validations: [{expression: "!('sh' in object.command)", messageExpression: "object.command[0] + ' ' + object.kind"}]`)
			r := podRequest(t)
			r.Operation, r.SubResource, r.RequestSubResource = admissionv1.Operation_OPERATION_CONNECT, "exec", "exec"
			r.Kind = &admissionv1.GroupVersionKind{Version: "v1", Kind: "PodExecOptions"}
			r.RequestKind, r.OldObject, r.Options = r.GetKind(), nil, nil
			r.Object = []byte(`{"apiVersion": "v1", "kind": "PodExecOptions", "stdout": true, "command": ["sh"]}`)
			verdict, err := set.Validate(t.Context(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := decisionHere(verdict).Message; got != tc.want {
				t.Errorf("want %q, got %q", tc.want, got)
			}
		})
	}
}
