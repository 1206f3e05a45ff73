package labels_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// TestImmutableStays: whatever an update writes, and whatever other rules there are, a stamp of an object that an
// immutable rule was about is as it was, or the update is denied.
func TestImmutableStays(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"kind": "team"}}
	condition := func(expression string) labels.Match {
		return labels.Match{MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "c", Expression: expression}}}
	}
	matches := []labels.Match{
		{},
		{ObjectSelector: selector},
		{NamespaceSelector: selector},
		condition(`object.metadata.labels["kind"] == "team"`), // fails where an update leaves out kind
		condition(`namespace.labels[?"kind"].orValue("") == "team"`),
		{Namespaces: []string{"shop"}, ResourceRules: []labels.ResourceRule{{APIGroups: []string{""}, Resources: []string{"*"}}}},
	}
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // for a test
		pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
		rule := labels.Rule{
			Match: matches[random.IntN(len(matches))], Set: labels.Set{Labels: map[string]string{"stamp": "x"}},
			Immutable: pick(labels.Restore, labels.Deny), WhenPresent: pick(labels.Keep, labels.Overwrite, labels.Deny),
		}
		rule.Match.Operations = [][]string{{"CREATE"}, {"CREATE", "UPDATE"}}[random.IntN(2)]
		rules := []labels.Rule{rule}
		for range random.IntN(4) {
			other := labels.Rule{WhenPresent: pick(labels.Keep, labels.Overwrite), Set: labels.Set{Labels: map[string]string{pick("stamp", "kind"): "other"}}}
			if random.IntN(2) == 0 {
				other.Set, other.Remove.Labels = labels.Set{}, []string{pick("stamp", "kind")}
			}
			rules = append(rules, other)
		}
		random.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		object := func(values map[string]string) []byte {
			return fmt.Appendf(nil, `{"metadata":{"name":"shop","labels":%s}}`, asJSON(values))
		}
		changed := map[string]string{}
		for _, key := range []string{"stamp", "kind"} {
			if value := pick("", "old", "forged", "team"); value != "" {
				changed[key] = value
			}
		}
		req := &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
			Name: "shop", Namespace: "shop", Operation: admissionv1.Operation_OPERATION_UPDATE,
			Resource:        &admissionv1.GroupVersionResource{Version: "v1", Resource: pick("namespaces", "pods")},
			SubResource:     pick("", "status"),
			NamespaceObject: &admissionv1.Namespace{Name: "shop", Labels: map[string]string{"kind": "team"}},
			UserInfo:        &admissionv1.UserInfo{Username: "bob"},
			Object:          object(changed), OldObject: object(map[string]string{"stamp": "old", "kind": "team"}),
		}}
		mutator, err := newMutator(rules)
		if err != nil {
			t.Fatal(err)
		}
		mutation, err := mutator.Mutate(t.Context(), req)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if mutation != nil && mutation.Denial != nil {
			continue
		}
		if mutation == nil {
			mutation = &sdk.Mutation{}
		}
		after, _ := apply(t, req.GetObject(), mutation)
		var got any
		decode(t, after, &got)
		if diff := cmp.Diff("old", labelsAt(got, nil)["stamp"]); diff != "" {
			t.Fatalf("seed %d, %s %s of %s by %s:\n%s", seed, req.GetResource().GetResource(), req.GetSubResource(), req.GetObject(), asJSON(rules), diff)
		}
	}
}

func newMutator(rules []labels.Rule) (*labels.Mutator, error) {
	cfg := labels.Config{Rules: rules}
	cfg.SetDefaults()
	return labels.New(cfg)
}
