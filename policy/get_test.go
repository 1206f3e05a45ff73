package policy

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// A kind that is not served any more is no object that is not there: the apiserver answers both with 404. Where the
// kind is served is asked again.
func TestGetOfAKindThatIsGone(t *testing.T) {
	client := fake.NewClientset()
	client.Resources = []*metav1.APIResourceList{{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{{Name: "limits", Kind: "Limit"}}}}
	dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "example.com", Version: "v1", Resource: "limits"}: "LimitList",
	})
	g := newGetter(&cluster.Cluster{Client: client, Dynamic: dynamic})
	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Limit"}
	if _, err := g.get(t.Context(), kind, "", "absent"); !apierrors.IsNotFound(err) {
		t.Errorf("an object that is not there: %v", err)
	}
	dynamic.PrependReactor("get", "limits", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{Group: "example.com", Resource: "limits"}, "gone", "404 page not found", 0, true)
	})
	for range 2 {
		if _, err := g.get(t.Context(), kind, "", "gone"); err == nil || apierrors.IsNotFound(err) {
			t.Errorf("a kind that is not served any more: %v", err)
		}
	}
	if len(g.resources) != 0 {
		t.Error("where it was served is still believed")
	}
}
