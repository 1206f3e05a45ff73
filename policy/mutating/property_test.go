package mutating

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// mutations are changes of all sorts to a pod with two containers or more.
func mutations() []string {
	jsonPatch := func(ops string) string {
		return fmt.Sprintf(`{patchType: JSONPatch, jsonPatch: {expression: '[%s]'}}`, ops)
	}
	apply := func(spec string) string {
		return fmt.Sprintf(`{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{spec: Object.spec{%s}}'}}`, spec)
	}
	return []string{
		jsonPatch(`JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "last", image: "i"}}`),
		jsonPatch(`JSONPatch{op: "add", path: "/spec/containers/0", value: Object.spec.containers{name: "first", image: "i"}}`),
		jsonPatch(`JSONPatch{op: "move", from: "/spec/containers/0", path: "/spec/containers/1"}`),
		jsonPatch(`JSONPatch{op: "replace", path: "/spec/containers/0/image", value: "i"}`),
		jsonPatch(`JSONPatch{op: "replace", path: "/spec/containers/1/name", value: "renamed"}`),
		jsonPatch(`JSONPatch{op: "add", path: "/metadata/labels", value: {"a/b~c": "d"}}`),
		jsonPatch(`JSONPatch{op: "add", path: "/spec/tolerations", value: [Object.spec.tolerations{key: "k", operator: "Exists"}] + object.spec.?tolerations.orValue([])}`),
		apply(`containers: [Object.spec.containers{name: "c0", env: [Object.spec.containers.env{name: "E", value: "1"}]}]`),
		apply(`containers: [Object.spec.containers{name: "new", image: "i"}], volumes: [Object.spec.volumes{name: "v", emptyDir: Object.spec.volumes.emptyDir{}}]`),
		apply(`containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, image: "registry/" + c.image})`),
		apply(`containers: [Object.spec.containers{name: "c1", resources: Object.spec.containers.resources{limits: {"memory": "1Gi"}}}]`),
		apply(`securityContext: Object.spec.securityContext{runAsNonRoot: true}, priority: 7`),
	}
}

const (
	unknown = "notAField"
	big     = `9007199254740993`
)

// Whatever this program does not know of an object is as if it were not there while policies are evaluated, and is
// there, untouched, in the end: a mutation of an object with unknown fields is the mutation of the object without
// them. Nor is anything touched that no policy changes: large integers, the way in which a quantity is written, the
// order of elements, those that come twice.
func TestNothingElseIsTouched(t *testing.T) {
	const objects = 25
	for i, mutation := range mutations() {
		set := bound(t, mutation)
		client := sdktest.StartMutator(t, sdk.MutatorFunc(func(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
			return set.Mutate(ctx, r, nil)
		}))
		request := podRequest(t)
		result := func(object any) []byte {
			t.Helper()
			q := proto.CloneOf(request.AdmissionRequest)
			q.Object = encode(t, object)
			response, err := client.Mutate(t.Context(), &admissionv1.MutateRequest{Request: q})
			if err != nil || response.GetDenial() != nil || len(response.GetOperations()) == 0 {
				t.Fatalf("mutation %d of %s: %v, %v", i, q.Object, response, err)
			}
			return sdktest.Apply(t, q.GetObject(), response.GetOperations())
		}
		for seed := range uint64(objects) {
			random := rand.New(rand.NewPCG(uint64(i), seed))
			plainPod := randomPod(random)
			dirty := decode(t, encode(t, plainPod))
			added := addUnknown(random, dirty)
			before, after := result(plainPod), result(dirty)
			if got := bytes.Count(after, []byte(`"`+unknown+`":`+big)); got != added {
				t.Fatalf("mutation %d: %d unknown fields before, %d after\n%s\n%s", i, added, got, encode(t, dirty), after)
			}
			cleaned := decode(t, after)
			withoutUnknown(cleaned)
			if diff := cmp.Diff(decode(t, before), cleaned); diff != "" {
				t.Fatalf("mutation %d (-without +with unknown fields):\n%s", i, diff)
			}
			if strings.Count(string(before), `"1000m"`) != strings.Count(string(encode(t, plainPod)), `"1000m"`) {
				t.Fatalf("mutation %d: a quantity was written anew: %s", i, before)
			}
		}
	}
}

func randomPod(random *rand.Rand) map[string]any {
	pod := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "p", "namespace": "team-a"},
	}
	var containers []any
	for i := range 2 + random.IntN(3) {
		c := map[string]any{
			"name": fmt.Sprintf("c%d", i), "image": "image", "resources": map[string]any{"requests": map[string]any{"cpu": "1000m"}},
			"args": []any{"-v", "-v"},
		}
		if random.IntN(2) == 0 {
			c["env"] = []any{map[string]any{"name": "A", "value": "1"}, map[string]any{"name": "A", "value": "2"}}[:1+random.IntN(2)]
		}
		if random.IntN(2) == 0 {
			c["ports"] = []any{map[string]any{"containerPort": json.Number("80"), "protocol": "TCP"}}
		}
		containers = append(containers, c)
	}
	spec := map[string]any{"containers": containers, "activeDeadlineSeconds": json.Number(big)}
	if random.IntN(2) == 0 {
		same := map[string]any{"key": "twice", "operator": "Exists"}
		spec["tolerations"] = []any{same, same}
	}
	if random.IntN(2) == 0 {
		spec["securityContext"] = map[string]any{}
	}
	pod["spec"] = spec
	return pod
}

// addUnknown adds fields that no version of the API has, and returns how many.
func addUnknown(random *rand.Rand, value any) (added int) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if name != "requests" { // a map of anything
				added += addUnknown(random, member)
			}
		}
		if random.IntN(2) == 0 {
			v[unknown] = json.Number(big)
			added++
		}
	case []any:
		for _, item := range v {
			added += addUnknown(random, item)
		}
	}
	return added
}

func withoutUnknown(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, unknown)
		for _, member := range v {
			withoutUnknown(member)
		}
	case []any:
		for _, item := range v {
			withoutUnknown(item)
		}
	}
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
