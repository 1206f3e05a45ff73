package quota

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/validator-svc/internal/requesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kube-apiserver may ask again, and for a dry run: the answer is the same.
func TestAskedAgain(t *testing.T) {
	one := 1
	for name, tc := range map[string]struct {
		objects []runtime.Object
		want    string
	}{
		"room":    {},
		"no room": {[]runtime.Object{&unstructured.Unstructured{Object: pod("shop", "a")}}, "rule pods: namespace shop has 1 of at most 1 objects of kind Pod; delete one or ask for more"},
	} {
		t.Run(name, func(t *testing.T) {
			set := set(t, tc.objects, Rule{Name: "pods", APIVersion: "v1", Kind: "Pod", Max: &one})
			for i := range 4 {
				q := requesttest.Of(t, pod("shop", "b"), nil)
				q.DryRun = i%2 == 1
				if verdict, err := set.Validate(t.Context(), q); err != nil || requesttest.Message(verdict) != tc.want {
					t.Errorf("time %d: %v, %v", i, requesttest.Message(verdict), err)
				}
			}
		})
	}
}

func TestUnknownNamespace(t *testing.T) {
	none := 0
	set := set(t, nil, Rule{Name: "trial", APIVersion: "v1", Kind: "Pod", Max: &none, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"plan": "trial"}}})
	verdict, err := set.Validate(t.Context(), requesttest.Of(t, pod("shop", "a"), nil))
	if err == nil || !strings.Contains(err.Error(), "looking up namespace shop") {
		t.Errorf("%v, %v; want an error", verdict, err)
	}
}

// Of many objects that come at once as many pass as there is room for, under every rule; what one rule refuses
// takes no room under another.
func TestAtOnce(t *testing.T) {
	three, five, none := 3, 5, 0
	set := set(t, nil,
		Rule{Name: "ns", APIVersion: "v1", Kind: "Pod", Max: &three},
		Rule{Name: "all", APIVersion: "v1", Kind: "Pod", Max: &five, Scope: Cluster},
		Rule{Name: "never", APIVersion: "v1", Kind: "Secret", Max: &none})
	for _, r := range set.rules {
		r.book.Wait = time.Millisecond
	}
	var allowed atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			q := requesttest.Of(t, pod(fmt.Sprint("ns-", i%2), fmt.Sprint("p-", i)), nil)
			verdict, err := set.Validate(t.Context(), q)
			if err != nil {
				t.Error(err)
			}
			if requesttest.Message(verdict) == "" {
				allowed.Add(1)
			}
		})
	}
	all.Wait()
	if n := allowed.Load(); n != 5 {
		t.Errorf("%d allowed, want 5", n)
	}
	total := 0
	for _, place := range []string{"namespace ns-0", "namespace ns-1"} {
		total += len(set.rules[0].book.Holders(place))
	}
	if total != 5 {
		t.Errorf("%d claims left, want those of what was allowed", total)
	}
	dry := requesttest.Of(t, pod("other", "p"), nil)
	dry.DryRun = true
	if _, err := set.Validate(t.Context(), dry); err != nil || len(set.rules[0].book.Holders("namespace other")) != 0 {
		t.Errorf("a dry run claims: %v", err)
	}
}

func TestReload(t *testing.T) {
	one, two := 1, 2
	c, err := cluster.FromObjects(&unstructured.Unstructured{Object: pod("shop", "a")})
	if err != nil {
		t.Fatal(err)
	}
	config := func(rules ...Rule) Config {
		c := Config{Rules: rules}
		c.SetDefaults()
		return c
	}
	kept := Rule{Name: "kept", APIVersion: "v1", Kind: "Pod", Max: &one}
	first, err := New(config(kept, Rule{Name: "changed", APIVersion: "v1", Kind: "Pod", Max: &one}), From{Follower: c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(config(Rule{Name: "changed", APIVersion: "v1", Kind: "Pod", Max: &two}, kept), From{Follower: c}, first)
	if err != nil {
		t.Fatal(err)
	}
	first.CloseExcept(second)
	if second.rules[1] != first.rules[0] || second.Ready() != nil || first.Ready() == nil {
		t.Errorf("what is the same is not kept, or what is not is: %v, %v", second.Ready(), first.Ready())
	}
	if _, err := first.Validate(t.Context(), requesttest.Of(t, pod("shop", "b"), nil)); status.Code(err) != codes.Unavailable {
		t.Errorf("rules that are closed answer: %v", err)
	}
	second.CloseExcept(nil)
	if second.Ready() == nil {
		t.Error("not closed")
	}
}

func TestValidateConfig(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                                        "rules[0].name: Required",
		"{name: a, kind: Pod, max: 1}":                              "rules[0].apiVersion: Required",
		"{name: a, apiVersion: v1, max: 1}":                         "rules[0].kind: Required",
		"{name: a, apiVersion: v1, kind: Pod}":                      "rules[0].max: Required",
		"{name: a, apiVersion: v1, kind: Pod, max: -1}":             "fewer than none",
		"{name: a, apiVersion: a/b/c, kind: Pod, max: 1}":           "GROUP/VERSION",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, scope: Node}": "Unsupported",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, scope: Cluster, maxAnnotation: a}":                                   "no annotations",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, scope: Cluster, namespaceSelector: {}}":                              "all are counted",
		"{name: a, apiVersion: v1, kind: Namespace, max: 1, namespaceSelector: {}}":                                        "objectSelector",
		"{name: a, apiVersion: v1, kind: Namespace, max: 1, maxAnnotation: a}":                                             "in none",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, maxAnnotation: a b}":                                                 "maxAnnotation",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, objectSelector: {matchExpressions: [{key: a, operator: b}]}}":        "objectSelector",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, matchConditions: [{name: a, expression: 'request.name == object'}]}": "undeclared reference to 'request'",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, matchConditions: [{name: a, expression: '1'}]}":                      "a condition is true or false",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, matchConditions: [{expression: 'true'}]}":                            "name the condition",
		"{name: a, apiVersion: v1, kind: Pod, max: 1, namespaceSelector: {}, maxAnnotation: a/b}":                          "",
	} {
		var r Rule
		if err := yaml.UnmarshalStrict([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		c := Config{Rules: []Rule{r}}
		c.SetDefaults()
		err := c.Validate(field.NewPath("quota")).ToAggregate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\nwant: %s\ngot:  %v", text, want, err)
		}
	}
	one := 1
	r := Rule{Name: "a", APIVersion: "v1", Kind: "Pod", Max: &one}
	c := Config{Rules: []Rule{r, r}}
	c.SetDefaults()
	if errs := c.Validate(field.NewPath("quota")); len(errs) != 1 || errs[0].Type != field.ErrorTypeDuplicate {
		t.Errorf("two of one name: %v", errs)
	}
}

func TestOnlyMetadata(t *testing.T) {
	env, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]bool{
		"true": true, "object.metadata.name == 'a'": true, "has(object.metadata.labels)": true,
		"object.metadata.?labels[?'a'].orValue('') == object.metadata.name": true,
		"object.spec.a == 1": false, "object.metadata.name == object.spec.name": false, "object == object": false,
		"object['metadata'].name == 'a'": false, "[object].exists(o, o.spec.a == 1)": false,
		"object.spec.metadata.name == 'a'": false, "[1].all(o, object.metadata.generation == o)": true,
	} {
		_, got, err := env.compile(conditionOf(expression))
		if err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", expression, got, err, want)
		}
	}
}

// Whatever the object is, it is an answer or an error, and an error never looks like an answer.
func FuzzValidate(f *testing.F) {
	one := 1
	for _, text := range []string{`{"metadata":{"name":"a"},"spec":{"a":1}}`, `{}`, `[]`, `{"metadata":{"labels":{"a":1}}}`, `null`} {
		f.Add([]byte(text), []byte(text))
	}
	s := set(f, nil, Rule{Name: "a", APIVersion: "v1", Kind: "Pod", Max: &one, MatchConditions: conditions("object.spec.a == 1")})
	s.rules[0].book.Wait = time.Nanosecond
	f.Fuzz(func(t *testing.T, object, old []byte) {
		q := requesttest.Of(t, pod("shop", "a"), pod("shop", "a"))
		q.Object, q.OldObject = object, old
		if verdict, err := s.Validate(t.Context(), q); err != nil && (verdict != nil || status.Code(err) == codes.Unknown) {
			t.Errorf("%v, %v", verdict, err)
		}
	})
}

// BenchmarkValidate is a decision in a namespace that has 10,000 objects which count by a condition.
func BenchmarkValidate(b *testing.B) {
	const count = 10_000
	most := count + 1
	var objects []runtime.Object
	for i := range count {
		o := pod("shop", fmt.Sprint("p-", i))
		o["spec"] = map[string]any{"a": int64(1)}
		objects = append(objects, &unstructured.Unstructured{Object: o})
	}
	s := set(b, objects, Rule{Name: "a", APIVersion: "v1", Kind: "Pod", Max: &most, MatchConditions: conditions("object.spec.a == 1")})
	o := pod("shop", "new")
	o["spec"] = map[string]any{"a": int64(1)}
	q := requesttest.Of(b, o, nil)
	b.ReportAllocs()
	for b.Loop() {
		if verdict, err := s.Validate(b.Context(), q); err != nil || requesttest.Message(verdict) != "" {
			b.Fatal(verdict, err)
		}
	}
}

func set(tb testing.TB, objects []runtime.Object, rules ...Rule) *Set {
	tb.Helper()
	c, err := cluster.FromObjects(objects...)
	if err != nil {
		tb.Fatal(err)
	}
	config := Config{Rules: rules}
	config.SetDefaults()
	if errs := config.Validate(field.NewPath("quota")); len(errs) > 0 {
		tb.Fatal(errs)
	}
	s, err := New(config, From{Follower: c, Namespaces: c}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.CloseExcept(nil) })
	return s
}

func conditionOf(expression string) admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{Name: "c", Expression: expression}
}

func conditions(expression string) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{conditionOf(expression)}
}

func pod(namespace, name string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": namespace, "name": name}}
}
