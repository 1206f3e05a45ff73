package policy

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/gatefold/gatefold/sdk"
)

// Namespaces knows the cluster's namespaces.
type Namespaces interface {
	// Get returns the namespace of that name, which is not changed; an error when it is not known.
	Get(name string) (*corev1.Namespace, error)
}

// Validate evaluates every policy that matches the request. A request that does not carry its namespace
// has it looked up in known, which may be nil. An error has a gRPC status: the request cannot be read, the
// time is up, or something that a policy asks for did not come with the request.
func (s *Set) Validate(ctx context.Context, r *sdk.Request, known Namespaces) (*sdk.Verdict, error) {
	q := header(r, known)
	if exempt[q.GetResource().GroupResource()] {
		return &sdk.Verdict{}, nil
	}
	e := &evaluation{
		request: q,
		objects: &admission.RuntimeObjectInterfaces{EquivalentResourceMapper: q},
	}
	e.namespaces.known = q.namespace
	e.matcher = generic.NewPolicyMatcher(matching.NewMatcher(&e.namespaces, nil))
	decoded := false
	for _, h := range s.hooks {
		if !h.mayMatch(q) {
			continue
		}
		if !decoded {
			if err := q.decode(r); err != nil {
				return nil, err
			}
			e.versioned, decoded = q.versioned(), true
		}
		if err := e.evaluate(ctx, h); err != nil {
			return nil, err
		}
		// CEL takes the end of the context for an error of the expression, which would become a denial.
		if err := ctx.Err(); err != nil {
			return nil, status.FromContextError(err).Err()
		}
	}
	return e.verdict.finish(), nil
}

// exempt are the resources that kube-apiserver never shows to a policy: the reviews, because that might
// lock everybody out (k8s.io/kubernetes pkg/kubeapiserver/admission/exclusion), and the policies
// themselves (k8s.io/apiserver pkg/admission/plugin/policy/generic/plugin.go).
var exempt = map[schema.GroupResource]bool{
	{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}:       true,
	{Group: "authentication.k8s.io", Resource: "tokenreviews"}:             true,
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}: true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}:  true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"}:   true,
	{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}:      true,
	{Group: group, Resource: "validatingadmissionpolicies"}:                true,
	{Group: group, Resource: "validatingadmissionpolicybindings"}:          true,
	{Group: group, Resource: "mutatingadmissionpolicies"}:                  true,
	{Group: group, Resource: "mutatingadmissionpolicybindings"}:            true,
}

// mayMatch looks at the rules only, so that requests which no policy is about are answered without
// reading their objects. It never says no where upstream's matcher would say yes.
func (h *hook) mayMatch(q *request) bool {
	constraints := h.Policy.Spec.MatchConstraints
	for i := range constraints.ResourceRules {
		rule := constraints.ResourceRules[i].RuleWithOperations
		if *constraints.MatchPolicy == v1.Equivalent {
			rule.APIVersions = []string{anyVersion} // see evaluation.assuming
		}
		if (&rules.Matcher{Rule: rule, Attr: q}).Matches() {
			return true
		}
		if q.resource != q.GetResource() && (&rules.Matcher{Rule: rule, Attr: converted{q}}).Matches() {
			return true
		}
	}
	return false
}

// converted is a request for the resource to which kube-apiserver converted the object.
type converted struct{ *request }

// GetResource returns that resource.
func (c converted) GetResource() schema.GroupVersionResource { return c.resource }

// evaluation is the evaluation of one request.
type evaluation struct {
	request    *request
	versioned  *admission.VersionedAttributes
	namespaces namespaces
	matcher    generic.PolicyMatcher
	objects    admission.ObjectInterfaces
	verdict    verdict
}

// evaluate restates one turn of the loop of Dispatch in k8s.io/apiserver
// pkg/admission/plugin/policy/validating/dispatcher.go, which answers with the first denial and drops the
// others. The order of the steps, and what counts as whose error, are upstream's.
func (e *evaluation) evaluate(ctx context.Context, h *hook) error {
	about, err := e.definition(h)
	if err != nil {
		return e.configurationError(err, h, nil)
	}
	if about == nil {
		return nil
	}
	annotations := auditAnnotations{}
	for i, binding := range h.Bindings {
		results, err := e.binding(ctx, h, i, about)
		if err != nil {
			if err := e.configurationError(err, h, binding); err != nil {
				return err
			}
			continue
		}
		for _, r := range results {
			e.verdict.decisions(h.Policy, binding, r.Decisions)
			e.verdict.collect(h.Policy, binding, r.AuditAnnotations, annotations)
		}
	}
	e.verdict.publish(h.Policy.Name, annotations)
	return nil
}

// results evaluates the policy once for each param that the binding selects.
func (e *evaluation) results(ctx context.Context, h *hook, binding *v1.ValidatingAdmissionPolicyBinding, about *match,
) ([]validating.ValidateResult, error) {
	found, err := generic.CollectParams(h.Policy.Spec.ParamKind, h.ParamInformer, h.ParamScope, binding.Spec.ParamRef,
		e.request.GetNamespace(), nil, nil)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if about.assumed || about.kind != e.request.kind {
		return nil, e.otherVersion("policy", about.resource.Version)
	}
	namespace, err := e.namespaceObject(h)
	if err != nil {
		return nil, unanswerable{err}
	}
	results := make([]validating.ValidateResult, len(found))
	for i, param := range found {
		results[i] = e.one(ctx, h, about.resource, param, namespace)
	}
	return results, nil
}

func (e *evaluation) one(ctx context.Context, h *hook, resource schema.GroupVersionResource, param runtime.Object,
	namespace *corev1.Namespace,
) validating.ValidateResult {
	return h.Evaluator.Validate(ctx, resource, e.versioned, param, namespace, celconfig.RuntimeCELCostBudget, nil)
}

// namespaceObject is null for cluster-scoped objects, and for namespaces themselves.
func (e *evaluation) namespaceObject(h *hook) (*corev1.Namespace, error) {
	isNamespace := e.request.GetKind() == corev1.SchemeGroupVersion.WithKind("Namespace")
	switch {
	case e.request.GetNamespace() == "" || isNamespace:
		return nil, nil
	case e.request.namespace == nil && h.namespaced:
		return nil, errNoNamespace
	default:
		return e.request.namespace, nil
	}
}

// unanswerable marks an error that says nothing about the object or the policy: the answer would need
// something that only the cluster has.
type unanswerable struct{ error }

// configurationError applies the policy's failurePolicy. Under Fail upstream denies the request, and so
// is it here; except where the trouble is this program's own, which is an error and not a denial.
func (e *evaluation) configurationError(err error, h *hook, binding *v1.ValidatingAdmissionPolicyBinding) error {
	if *h.Policy.Spec.FailurePolicy == v1.Ignore {
		return nil
	}
	var own unanswerable
	if errors.As(err, &own) || e.namespaces.takeMissing() {
		return status.Errorf(codes.FailedPrecondition, "%s '%s' cannot be evaluated: %v", policyKind, h.Policy.Name, err)
	}
	what := "policy"
	if binding != nil {
		what = "binding"
	}
	e.verdict.deny(h.Policy, binding, validating.PolicyDecision{
		Action:  validating.ActionDeny,
		Message: fmt.Sprintf("failed to configure %s: %v", what, err),
	})
	return nil
}
