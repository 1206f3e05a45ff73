package validating

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/warning"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/match"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// TestUpstreamDispatcher holds what is restated of upstream's dispatcher against that dispatcher itself,
// with the same policies and requests: every recorded case, and one with more bindings, params and actions.
func TestUpstreamDispatcher(t *testing.T) {
	type input struct {
		name  string
		set   *Set
		r     *sdk.Request
		known policy.Namespaces
	}
	sets := recordedSets{}
	var inputs []input
	for _, r := range policytest.Recordings[recording](t, "testdata/vap.jsonl") {
		inputs = append(inputs, input{r.ID, sets.of(t, r), r.Request(t), recordedCluster(t, r).Namespaces})
	}
	files, err := policy.ReadFiles([]string{library, "testdata/bindings.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	r := podRequest(t)
	r.NamespaceObject = &admissionv1.Namespace{Name: r.GetNamespace()} // upstream always asks for it
	set, err := Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	inputs = append(inputs, input{"library", set, r, nil})

	violations, upstream := 0, evaluators{}
	for _, in := range inputs {
		t.Run(in.name, func(t *testing.T) {
			verdict, err := in.set.Validate(t.Context(), in.r, in.known)
			if err != nil {
				t.Fatal(err)
			}
			got := decisionHere(verdict)
			violations += len(verdict.Denials) + len(verdict.Warnings) + len(verdict.AuditAnnotations)
			if diff := cmp.Diff(upstream.dispatch(t, in.set, in.r, in.known), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-upstream +here:\n%s", diff)
			}
		})
	}
	if violations < 50 {
		t.Errorf("only %d violations in all cases: they prove nothing", violations)
	}
}

// decision is what kube-apiserver makes of a request: of the denials, the first.
type decision struct {
	Message, Reason string
	Code            int32
	Warnings        []string
	Annotations     map[string]string
}

// decisionHere is what kube-apiserver would tell of a verdict.
func decisionHere(verdict *sdk.Verdict) decision {
	d := decision{Warnings: verdict.Warnings, Annotations: verdict.AuditAnnotations}
	if len(verdict.Denials) > 0 {
		first := verdict.Denials[0]
		d.Message, d.Reason, d.Code = first.Message, first.Reason, first.Code
	}
	return d
}

// evaluators are upstream's, by policy.
type evaluators map[*v1.ValidatingAdmissionPolicy]validating.Validator

// dispatch lets upstream decide.
func (all evaluators) dispatch(t testing.TB, set *Set, r *sdk.Request, known policy.Namespaces) decision {
	t.Helper()
	q := match.NewRequest(r, known)
	if match.Exempt(q.GetResource().GroupResource()) {
		return decision{}
	}
	if err := q.Decode(r); err != nil {
		t.Fatal(err)
	}
	var hooks []validating.PolicyHook
	for _, h := range set.policies.Hooks {
		if all[h.Typed] == nil {
			all[h.Typed] = upstreamEvaluator(t, h.Typed)
		}
		hooks = append(hooks, validating.PolicyHook{
			Policy: h.Typed, Bindings: h.TypedBindings, ParamInformer: h.ParamInformer, ParamScope: h.ParamScope, Evaluator: all[h.Typed],
		})
	}
	out := &recorder{Attributes: q.Attributes, annotations: map[string]string{}}
	dispatcher := validating.NewDispatcher(set.policies.Authorizer, generic.NewPolicyMatcher(matching.NewMatcher(lister(t, q.Namespace), nil)))
	err := dispatcher.Dispatch(warning.WithWarningRecorder(context.Background(), out), out, &admission.RuntimeObjectInterfaces{EquivalentResourceMapper: q}, hooks)
	keepFirstFailure(t, out.annotations)
	d := decision{Warnings: out.warnings, Annotations: out.annotations}
	if denial := (*apierrors.StatusError)(nil); errors.As(err, &denial) {
		d.Message, d.Reason, d.Code = denial.ErrStatus.Details.Causes[0].Message, string(denial.ErrStatus.Reason), denial.ErrStatus.Code
	} else if err != nil {
		t.Fatal(err)
	}
	return d
}

// keepFirstFailure makes of what 0.37 writes what 1.36 does.
func keepFirstFailure(t testing.TB, annotations map[string]string) {
	t.Helper()
	text, ok := annotations[failureAnnotation]
	if !ok {
		return
	}
	var failures []validating.ValidationFailureValue
	if err := json.Unmarshal([]byte(text), &failures); err != nil {
		t.Fatal(err)
	}
	first, err := json.Marshal(failures[:1])
	if err != nil {
		t.Fatal(err)
	}
	annotations[failureAnnotation] = string(first)
}

// upstreamEvaluator restates compilePolicy of k8s.io/apiserver pkg/admission/plugin/policy/validating/plugin.go
// with upstream's own compiler of variables, which Set does without.
func upstreamEvaluator(t testing.TB, p *v1.ValidatingAdmissionPolicy) validating.Validator {
	t.Helper()
	composited, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	full := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	plain := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}
	compile := func(list []cel.ExpressionAccessor, options cel.OptionalVariableDeclarations) cel.ConditionEvaluator {
		return composited.CompileCondition(list, options, environment.NewExpressions)
	}
	for _, v := range p.Spec.Variables {
		composited.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, full, environment.NewExpressions)
	}
	var validations, messages, annotations, conditions []cel.ExpressionAccessor
	for _, v := range p.Spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		if v.MessageExpression == "" {
			messages = append(messages, nil)
		} else {
			messages = append(messages, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
		}
	}
	for _, a := range p.Spec.AuditAnnotations {
		annotations = append(annotations, &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression})
	}
	var matcher matchconditions.Matcher
	for i := range p.Spec.MatchConditions {
		conditions = append(conditions, (*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i]))
	}
	if len(conditions) > 0 {
		matcher = matchconditions.NewMatcher(compile(conditions, full), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	return validating.NewValidator(compile(validations, full), matcher, compile(annotations, full), compile(messages, plain), p.Spec.FailurePolicy, nil)
}

// recorder keeps what the dispatcher says besides its error.
type recorder struct {
	admission.Attributes
	warnings    []string
	annotations map[string]string
}

func (r *recorder) AddAnnotation(key, value string) error {
	r.annotations[key] = value
	return nil
}

func (r *recorder) AddWarning(_, text string) {
	if !slices.Contains(r.warnings, text) {
		r.warnings = append(r.warnings, text)
	}
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// lister lists one namespace, or nothing.
func lister(t testing.TB, namespace *corev1.Namespace) corev1listers.NamespaceLister {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	if namespace != nil {
		if err := indexer.Add(namespace); err != nil {
			t.Fatal(err)
		}
	}
	return corev1listers.NewNamespaceLister(indexer)
}
