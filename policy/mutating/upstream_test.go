package mutating

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/client-go/kubernetes/scheme"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// onlyServer are the recordings that the dispatcher of 1.37 cannot repeat: it finds no JSON for some values, of which
// kube-apiserver 1.36 does, and here it has neither an informer of typed params nor the defaults of built-in kinds.
func onlyServer() []string {
	return []string{
		"live-value-namespace/01", "live-condition-copy/01", "live-condition-old/01", "live-param-kind/01",
		"live-default-container/01", "live-default-service/01",
	}
}

// TestUpstreamDispatcher holds what is restated of upstream's dispatcher against that dispatcher itself, with the
// same policies and requests: the recorded cases of built-in kinds, and those of testdata/dispatch, which have
// more policies, bindings, params, failures and reinvocations.
func TestUpstreamDispatcher(t *testing.T) {
	type input struct {
		name  string
		files []policy.File
		r     *sdk.Request
	}
	var inputs []input
	for _, r := range policytest.Recordings[recording](t, "testdata/map.jsonl") {
		kind := r.Asked.Review.Kind
		if slices.Contains(onlyServer(), r.ID) {
			continue
		}
		if scheme.Scheme.Recognizes(schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}) {
			inputs = append(inputs, input{r.ID, r.Files(), r.Request(t)})
		}
	}
	paths, err := filepath.Glob("testdata/dispatch/*.yaml")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, labels := range []string{`{}`, `{"seen":"no"}`, `{"seen":"no","more":"1"}`} {
			r := podRequest(t)
			r.NamespaceObject = &admissionv1.Namespace{Name: r.GetNamespace()} // upstream always asks for it
			r.Kind.Kind, r.RequestKind.Kind = "ConfigMap", "ConfigMap"
			r.Resource.Resource, r.RequestResource.Resource = "configmaps", "configmaps"
			r.Object = fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","labels":%s},"data":{"a":"1"}}`, labels)
			inputs = append(inputs, input{filepath.Base(path) + labels, []policy.File{{Name: path, Data: data}}, r})
		}
	}
	changed, refused := 0, 0
	for _, in := range inputs {
		t.Run(in.name, func(t *testing.T) {
			set, err := Parse(in.files)
			if err != nil {
				t.Fatal(err)
			}
			mutation, err := set.Mutate(t.Context(), in.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			object, denial := dispatch(t, set, in.r)
			if denial.String() != mutation.Denial.String() {
				t.Fatalf("-upstream +here:\n-%v\n+%v", denial, mutation.Denial)
			}
			if denial != nil {
				refused++
				return
			}
			if mutation.Object == nil {
				mutation.Object = decoded(t, set, in.r)
			} else {
				changed++
			}
			if diff := cmp.Diff(any(object), mutation.Object); diff != "" {
				t.Errorf("-upstream +here:\n%s", diff)
			}
		})
	}
	if changed < 20 || refused < 8 {
		t.Errorf("%d changed and %d refused in all cases: they prove nothing", changed, refused)
	}
}

func decoded(t *testing.T, set *Set, r *sdk.Request) any {
	t.Helper()
	q := match.NewRequest(r, nil)
	if err := q.DecodeWith(r, set.kinds.of(q.Kind, q.Resource.Group).decode); err != nil {
		t.Fatal(err)
	}
	return q.GetObject()
}

// dispatch asks upstream's dispatcher, a second time where the admission chain would.
func dispatch(t *testing.T, set *Set, r *sdk.Request) (runtime.Object, *admissionv1.Denial) {
	t.Helper()
	q := match.NewRequest(r, nil)
	k := set.kinds.of(q.Kind, q.Resource.Group)
	if err := q.DecodeWith(r, k.decode); err != nil {
		t.Fatal(err)
	}
	var hooks []mutating.PolicyHook
	for _, h := range set.policies.Hooks {
		hooks = append(hooks, mutating.PolicyHook{
			Policy: h.Typed, Bindings: h.TypedBindings, ParamInformer: h.ParamInformer, ParamScope: h.ParamScope, Evaluator: upstreamEvaluator(t, h.Typed),
		})
	}
	dispatcher := mutating.NewDispatcher(nil, matching.NewMatcher(lister(t, q.Namespace), nil), oneConverter{k})
	objects := &admission.RuntimeObjectInterfaces{
		ObjectCreater: scheme.Scheme, ObjectTyper: scheme.Scheme, ObjectDefaulter: scheme.Scheme,
		ObjectConvertor: copying{scheme.Scheme}, EquivalentResourceMapper: q,
	}
	for again := range 2 {
		if again > 0 {
			if !q.GetReinvocationContext().ShouldReinvoke() {
				break
			}
			q.GetReinvocationContext().SetIsReinvoke()
		}
		err := dispatcher.Dispatch(t.Context(), q.Attributes, objects, hooks)
		if denial, ok := errors.AsType[*apierrors.StatusError](err); ok {
			return nil, denialOf(denial)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return q.GetObject(), nil
}

// upstreamEvaluator compiles as upstream's compilePolicy does, with a compiler for each policy.
func upstreamEvaluator(t *testing.T, p *v1.MutatingAdmissionPolicy) mutating.PolicyEvaluator {
	t.Helper()
	composited, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	plain, patches := options(p)
	evaluator := mutating.PolicyEvaluator{CompositedCompiler: composited}
	var conditions []cel.ExpressionAccessor
	for _, e := range expressions(p) {
		switch accessor := e.Accessor.(type) {
		case *validating.Variable:
			composited.CompileAndStoreVariable(accessor, plain, environment.NewExpressions)
		case *matchconditions.MatchCondition:
			conditions = append(conditions, accessor)
		case *patch.JSONPatchCondition:
			compiled := composited.CompileMutatingEvaluator(accessor, patches, environment.NewExpressions)
			evaluator.Mutators = append(evaluator.Mutators, patch.NewJSONPatcher(compiled))
		case *patch.ApplyConfigurationCondition:
			compiled := composited.CompileMutatingEvaluator(accessor, patches, environment.NewExpressions)
			evaluator.Mutators = append(evaluator.Mutators, patch.NewApplyConfigurationPatcher(compiled))
		}
	}
	if len(conditions) > 0 {
		compiled := composited.CompileCondition(conditions, plain, environment.NewExpressions)
		evaluator.Matcher = matchconditions.NewMatcher(compiled, p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return evaluator
}

// oneConverter knows one kind.
type oneConverter struct{ kind *kind }

func (c oneConverter) GetTypeConverter(schema.GroupVersionKind) managedfields.TypeConverter {
	return c.kind.merges
}

func (oneConverter) Run(context.Context) {}

// copying converts an object into another one of the same type, as kube-apiserver does between versions.
type copying struct{ runtime.ObjectConvertor }

func (c copying) Convert(in, out, _ any) error {
	data, err := runtime.DefaultUnstructuredConverter.ToUnstructured(in)
	if err != nil {
		return err
	}
	// FromUnstructured adds to what is there.
	reflect.ValueOf(out).Elem().SetZero()
	return runtime.DefaultUnstructuredConverter.FromUnstructured(data, out)
}

// lister lists one namespace, or nothing.
func lister(t *testing.T, namespace *corev1.Namespace) corev1listers.NamespaceLister {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	if namespace != nil {
		if err := indexer.Add(namespace); err != nil {
			t.Fatal(err)
		}
	}
	return corev1listers.NewNamespaceLister(indexer)
}
