package match

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// The index finds what looking at every policy finds, whatever the rules and the request are.
func TestIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	candidates := 0
	for range 300 {
		hooks := make([]*Hook, 1+random.IntN(30))
		for i := range hooks {
			hooks[i] = randomHook(random)
		}
		index := NewIndex(hooks)
		for range 30 {
			m := NewMatcher(NewRequest(randomRequest(random), nil))
			var want []int
			for i, h := range hooks {
				if m.MayMatch(h) {
					want = append(want, i)
				}
			}
			candidates += len(want)
			if diff := cmp.Diff(want, index.Candidates(m), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("of %v (-every one +index):\n%s", m.request.GetResource(), diff)
			}
		}
	}
	if candidates < 10_000 {
		t.Errorf("only %d candidates: they prove nothing", candidates)
	}
}

// What the rules and requests below are made of.
var (
	groups       = []string{"", "apps", "authentication.k8s.io", "example.com"}
	versions     = []string{"v1", "v1beta1"}
	resources    = []string{"pods", "deployments", "namespaces", "tokenreviews"}
	subresources = []string{"", "status", "scale"}
)

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

func randomHook(random *rand.Rand) *Hook {
	p := &v1.ValidatingAdmissionPolicy{}
	p.Spec.MatchConstraints = &v1.MatchResources{MatchPolicy: new(pick(random, v1.Exact, v1.Equivalent))}
	for range 1 + random.IntN(3) {
		rule := v1.NamedRuleWithOperations{}
		rule.Operations = []v1.OperationType{pick(random, v1.OperationAll, v1.Create, v1.Update)}
		rule.Scope = new(pick(random, v1.AllScopes, v1.ClusterScope, v1.NamespacedScope))
		rule.APIVersions = []string{pick(random, append(versions, "*")...)}
		for range 1 + random.IntN(2) {
			rule.APIGroups = append(rule.APIGroups, pick(random, append(groups, "*")...))
			resource := pick(random, append(resources, "*")...)
			if sub := pick(random, append(subresources, "*")...); sub != "" {
				resource += "/" + sub
			}
			rule.Resources = append(rule.Resources, resource)
		}
		p.Spec.MatchConstraints.ResourceRules = append(p.Spec.MatchConstraints.ResourceRules, rule)
	}
	return &Hook{Policy: validating.NewValidatingAdmissionPolicyAccessor(p)}
}

func randomRequest(random *rand.Rand) *sdk.Request {
	resource := func() *admissionv1.GroupVersionResource {
		return &admissionv1.GroupVersionResource{Group: pick(random, groups...), Version: pick(random, versions...), Resource: pick(random, resources...)}
	}
	q := &admissionv1.AdmissionRequest{
		Resource:    resource(),
		SubResource: pick(random, subresources...),
		Namespace:   pick(random, "", "team-a"),
		Operation:   pick(random, admissionv1.Operation_OPERATION_CREATE, admissionv1.Operation_OPERATION_UPDATE),
	}
	if random.IntN(2) == 0 { // converted for the webhook registration
		q.RequestResource = resource()
	}
	return &sdk.Request{AdmissionRequest: q}
}
