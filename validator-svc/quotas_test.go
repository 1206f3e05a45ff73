package validatorsvc

import (
	"context"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/validator-svc/internal/quota"
)

// However often the rules change, every request has an answer, from the rules before or after.
func TestQuotasChange(t *testing.T) {
	c, err := cluster.FromObjects(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": "shop", "name": "a"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rules := func(most int) quota.Config {
		config := quota.Config{Rules: []quota.Rule{{Name: "pods", APIVersion: "v1", Kind: "Pod", Max: &most}}}
		config.SetDefaults()
		return config
	}
	q := &quotas{from: quota.From{Follower: c}}
	if err := q.use(t.Context(), rules(0)); err != nil {
		t.Fatal(err)
	}
	defer q.close()
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				verdict, err := q.Validate(t.Context(), &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
					Operation: admissionv1.Operation_OPERATION_CREATE, Kind: &admissionv1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: "shop",
					Object: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}`), DryRun: true,
				}})
				if err != nil || len(verdict.Denials) != 1 {
					t.Errorf("%v, %v", verdict, err)
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := q.use(t.Context(), rules(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	asking.Wait()
}
