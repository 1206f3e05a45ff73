package expression

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
)

func TestUses(t *testing.T) {
	const whole = "namespaceObject"
	cases := map[string]Uses{
		"true": {},
		"object.spec.namespaceObject == 'authorizer'":                                        {},
		"namespaceObject.metadata.name == 'x'":                                               {Namespace: true},
		"namespaceObject == null || namespaceObject != null":                                 {Namespace: true},
		"has(namespaceObject.metadata.labels) && 'a' in namespaceObject.metadata.labels":     {Namespace: true},
		"namespaceObject.?metadata.?annotations['a'].orValue('') == ''":                      {Namespace: true},
		"namespaceObject.metadata.labels.all(k, namespaceObject.metadata.labels[k] != '')":   {Namespace: true},
		".namespaceObject.metadata.name == ''":                                               {Namespace: true},
		"namespaceObject.status.phase == 'Active'":                                           {Namespace: true, WholeNamespace: whole + ".status.phase"},
		"!has(namespaceObject.metadata.deletionTimestamp)":                                   {Namespace: true, WholeNamespace: whole + ".metadata.deletionTimestamp"},
		"namespaceObject.?status.?phase.orValue('') == ''":                                   {Namespace: true, WholeNamespace: whole + ".status.phase"},
		"namespaceObject.metadata.name == '' && namespaceObject.spec.finalizers.size() == 1": {Namespace: true, WholeNamespace: whole + ".spec.finalizers"},
		"[namespaceObject].size() == 1":                                                      {Namespace: true, WholeNamespace: whole},
		"has(namespaceObject.metadata)":                                                      {Namespace: true, WholeNamespace: whole + ".metadata"},
		"authorizer.group('').resource('pods').check('get').allowed()":                       {Authorizer: true},
		"authorizer.requestResource.check('get').allowed()":                                  {Authorizer: true},
	}
	c := NewCompiler()
	c.Authorizer = true
	for source, want := range cases {
		t.Run(source, func(t *testing.T) {
			compiled, errs := c.Compile([]Expression{{
				At:       field.NewPath("at"),
				Accessor: &validating.ValidationCondition{Expression: source},
				Options:  cel.OptionalVariableDeclarations{HasAuthorizer: true},
			}})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(want, compiled.Uses); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
