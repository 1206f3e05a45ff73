package labels_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// keys are few, so that rules meet.
func keys() []string { return []string{"a", "b", "c.io/a", "c.io/b", "app"} }

// Whatever the rules and the object are: the result is what the model says, everything else is as it came, no
// map is replaced, and a second pass changes nothing.
func TestRulesKeepTheirModel(t *testing.T) {
	const rounds = 300
	denied, changed := 0, 0
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			rules, req := randomRules(random), randomRequest(random)
			t.Logf("rules %s\nobject %s\nold %s\nuser %s", asJSON(rules), req.GetObject(), req.GetOldObject(), req.GetUserInfo().GetUsername())
			wasDenied, wasChanged := keepsModel(t, rules, req)
			denied += wasDenied
			changed += wasChanged
		})
	}
	if denied < rounds/50 || changed < rounds/4 {
		t.Errorf("%d of %d denied, %d changed: the test tests too little", denied, rounds, changed)
	}
}

func keepsModel(t *testing.T, rules []labels.Rule, req *sdk.Request) (denied, changed int) {
	t.Helper()
	mutator, err := labels.New(labels.Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	sdktest.Settles(t, mutator, req)
	mutation, err := mutator.Mutate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if mutation == nil {
		mutation = &sdk.Mutation{}
	}
	want, refused := model(t, rules, req)
	if (mutation.Denial != nil) != refused {
		t.Fatalf("denial %v, want one: %v", mutation.Denial, refused)
	}
	if refused {
		return 1, 0
	}
	after, paths := apply(t, req.GetObject(), mutation)
	for _, path := range paths {
		mustBeSurgical(t, req.GetObject(), path)
	}
	var got any
	decode(t, after, &got)
	if diff := cmp.Diff(want, prune(got)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	return 0, min(len(paths), 1)
}

func randomRules(random *rand.Rand) []labels.Rule {
	rules := make([]labels.Rule, 1+random.IntN(4))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	for i := range rules {
		r := &rules[i]
		r.WhenPresent = pick(labels.Keep, labels.Overwrite, labels.Overwrite, labels.Deny)
		r.Targets = [][]string{{labels.Object}, {labels.PodTemplate}, {labels.PodTemplate, labels.Object}}[random.IntN(3)]
		r.Match.Operations = [][]string{{"CREATE"}, {"UPDATE"}, {"CREATE", "UPDATE"}}[random.IntN(3)]
		r.Set.Labels = map[string]string{}
		for _, key := range keys() {
			switch random.IntN(5) {
			case 0:
				r.Set.Labels[key] = pick("1", "2")
			case 1:
				r.Remove.Labels = append(r.Remove.Labels, key)
			}
		}
		if random.IntN(4) == 0 {
			r.Remove.Labels = append(r.Remove.Labels, "c.io/*")
		}
		if len(r.Set.Labels) == 0 {
			r.Set.Labels["b"] = pick("1", "2")
			r.Remove.Labels = slices.DeleteFunc(r.Remove.Labels, func(key string) bool { return key == "b" })
		}
		r.Immutable = pick("", "", labels.Restore, labels.Deny)
		if random.IntN(4) == 0 {
			r.Except.Users = []string{"root"}
		}
	}
	return agreeing(rules)
}

// agreeing lets no rule overwrite, or leave to itself, what an earlier one insists on: what comes of that is denied
// when it comes again. Nor may one rule take from pod templates what another puts there.
func agreeing(rules []labels.Rule) []labels.Rule {
	for i := range rules {
		for j := range rules {
			for key := range rules[i].Set.Labels {
				if value, insists := rules[j].Set.Labels[key]; insists && j < i && rules[j].WhenPresent == labels.Deny {
					rules[i].Set.Labels[key] = value
				}
				if slices.Contains(rules[i].Targets, labels.PodTemplate) && slices.Contains(rules[j].Targets, labels.PodTemplate) {
					rules[j].Remove.Labels = slices.DeleteFunc(rules[j].Remove.Labels, func(removed string) bool {
						return i != j && (removed == key || removed == "c.io/*" && strings.HasPrefix(key, "c.io/"))
					})
				}
			}
		}
	}
	return rules
}

func randomRequest(random *rand.Rand) *sdk.Request {
	req := &admissionv1.AdmissionRequest{
		Resource:  &admissionv1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
		Operation: admissionv1.Operation_OPERATION_CREATE,
		UserInfo:  &admissionv1.UserInfo{Username: []string{"alice", "root"}[random.IntN(2)]},
		Object:    randomObject(random),
	}
	if random.IntN(2) == 0 {
		req.Operation = admissionv1.Operation_OPERATION_UPDATE
		req.OldObject = randomObject(random)
	}
	return &sdk.Request{AdmissionRequest: req}
}

func randomObject(random *rand.Rand) []byte {
	metadata := func() string {
		values := map[string]string{}
		for _, key := range keys() {
			if random.IntN(2) == 0 {
				values[key] = fmt.Sprint(1 + random.IntN(3))
			}
		}
		return []string{`"labels":null`, `"labels":` + asJSON(values), `"labels":` + asJSON(values), `"annotations":{}`}[random.IntN(4)]
	}
	return fmt.Appendf(nil, `{"metadata":{"name":"n",%s},"spec":{"big":9007199254740993,"selector":{"matchLabels":{"app":"%d"}},`+
		`"template":{"metadata":{%s},"spec":{"containers":[{"image":"%d"}]}}}}`,
		metadata(), 1+random.IntN(2), metadata(), random.IntN(2))
}

// mustBeSurgical fails where an operation would replace labels that are there.
func mustBeSurgical(t *testing.T, object []byte, path string) {
	t.Helper()
	var decoded any
	decode(t, object, &decoded)
	tokens := strings.Split(path, "/")[1:]
	if tokens[len(tokens)-1] == "labels" && at(decoded, tokens...) != nil {
		t.Errorf("%s replaces the labels of %s", path, object)
	}
	if !strings.Contains(path, "/labels") {
		t.Errorf("%s is none of the rules' matter", path)
	}
}

func asJSON(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(out)
}
