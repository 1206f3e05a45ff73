package labels_test

import (
	"fmt"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// BenchmarkMutate is about a decision with one rule for the pod at hand, and more rules that are about other
// namespaces and resources, or all about this pod too.
func BenchmarkMutate(b *testing.B) {
	own := labels.Rule{Set: labels.Set{Labels: map[string]string{"team": `${namespace.labels["team"]}`}}}
	for _, count := range []int{1, 10, 100} {
		var others, same []labels.Rule
		for i := range count - 1 {
			other := own
			if i%2 == 0 {
				other.Match.Namespaces = []string{fmt.Sprintf("team-%d", i)}
			} else {
				other.Match.ResourceRules = []labels.ResourceRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}}}
			}
			others = append(others, other)
			same = append(same, labels.Rule{Set: labels.Set{Labels: map[string]string{fmt.Sprintf("l%d", i): `${namespace.labels["team"]}`}}})
		}
		b.Run(fmt.Sprintf("others/%d", count), func(b *testing.B) { benchmark(b, append(others, own)) })
		b.Run(fmt.Sprintf("same/%d", count), func(b *testing.B) { benchmark(b, append(same, own)) })
	}
}

func benchmark(b *testing.B, rules []labels.Rule) {
	cfg := labels.Config{Rules: rules}
	cfg.SetDefaults()
	mutator, err := labels.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	req := &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
		Namespace:       "shop",
		Resource:        &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		NamespaceObject: &admissionv1.Namespace{Name: "shop", Labels: map[string]string{"team": "payments"}},
		Object: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"shop","labels":{"app":"web"}},` +
			`"spec":{"containers":[{"name":"c","image":"registry.example/c:1","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]}}`),
	}}
	b.ReportAllocs()
	for b.Loop() {
		mutation, err := mutator.Mutate(b.Context(), req)
		if err != nil || mutation.Patch.Empty() {
			b.Fatal(mutation, err)
		}
	}
}
