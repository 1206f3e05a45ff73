package validatorsvc

import (
	"testing"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// What the cluster follows is what kube-apiserver's library takes params from.
func TestFollowedParams(t *testing.T) {
	limit := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Limit", "metadata": map[string]any{"name": "a", "namespace": "shop"}}}
	c, err := cluster.FromObjects(limit)
	if err != nil {
		t.Fatal(err)
	}
	kind := schema.FromAPIVersionAndKind("example.com/v1", "Limit")
	deny := v1.DenyAction
	collect := func(o *cluster.Objects, namespace string) (int, error) {
		scope, err := o.Scope()
		if err != nil {
			return 0, err
		}
		found, err := generic.CollectParams(&v1.ParamKind{APIVersion: "example.com/v1", Kind: "Limit"}, o, scope,
			&v1.ParamRef{Name: "a", ParameterNotFoundAction: &deny}, namespace, nil, nil)
		return len(found), err
	}
	o, err := c.Follow(kind, cluster.FollowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := collect(o, "shop"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := collect(o, "bank"); n != 0 || err == nil {
		t.Errorf("of another namespace: %d, %v", n, err)
	}
}
