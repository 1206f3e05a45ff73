package validating

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/authorize"
	"github.com/gatefold/gatefold/policy/internal/match"
)

// Validate evaluates every policy that matches the request. A request that does not carry its namespace
// has it looked up in known, which may be nil; so is what else of a namespace an expression reads than its name,
// labels and annotations. An error has a gRPC status: the request cannot be read, the time is up, or something
// that a policy asks for did not come with the request and is not known.
func (s *Set) Validate(ctx context.Context, r *sdk.Request, known policy.Namespaces) (*sdk.Verdict, error) {
	q := match.NewRequest(r, known)
	if match.Exempt(q.GetResource().GroupResource()) {
		return &sdk.Verdict{}, nil
	}
	e := &evaluation{matcher: match.NewMatcher(q), authorizer: authorize.ForRequest(ctx, s.policies.Authorizer)}
	for _, h := range s.policies.Candidates(e.matcher) {
		if e.versioned == nil {
			if err := q.Decode(r); err != nil {
				return nil, err
			}
			e.versioned = q.Versioned()
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

// evaluation is the evaluation of one request.
type evaluation struct {
	matcher    *match.Matcher
	authorizer *authorize.Asked               // nil: no policy asks
	versioned  *admission.VersionedAttributes // nil until a policy may match
	verdict    verdict
}

// evaluate restates one turn of the loop of Dispatch in k8s.io/apiserver
// pkg/admission/plugin/policy/validating/dispatcher.go, which answers with the first denial and drops the
// others. The order of the steps, and what counts as whose error, are upstream's.
func (e *evaluation) evaluate(ctx context.Context, h *hook) error {
	about, err := e.matcher.Definition(h.Hook)
	if err != nil {
		return e.configurationError(err, h, nil)
	}
	if about == nil {
		return nil
	}
	annotations := auditAnnotations{}
	for i, binding := range h.TypedBindings {
		results, err := e.results(ctx, h, i, about)
		if err != nil {
			if err := e.configurationError(err, h, binding); err != nil {
				return err
			}
		}
		for _, r := range results {
			e.verdict.decisions(h.Typed, binding, r.Decisions)
			e.verdict.collect(h.Typed, binding, r.AuditAnnotations, annotations)
		}
	}
	e.verdict.publish(h.Typed.Name, annotations)
	return nil
}

// results evaluates the policy once for each param that its i-th binding selects. Those that could be evaluated are
// returned beside the error, too.
func (e *evaluation) results(ctx context.Context, h *hook, i int, about *match.Match) ([]validating.ValidateResult, error) {
	params, err := e.matcher.Params(h.Hook, i, about)
	if err != nil || len(params) == 0 {
		return nil, err
	}
	namespace, err := e.matcher.NamespaceObject(h.Hook)
	if err != nil {
		return nil, err
	}
	var results []validating.ValidateResult
	for _, param := range params {
		result := h.Evaluator.Validate(ctx, about.Resource, e.versioned, param, namespace, celconfig.RuntimeCELCostBudget, e.authorizer.Authorizer())
		// An expression took it for a no, or for an error of its own: neither was said.
		if asked := e.authorizer.TakeError(); asked != nil {
			err = match.NotKnown(asked)
			continue
		}
		results = append(results, result)
	}
	return results, err
}

// configurationError applies the policy's failurePolicy. Under Fail upstream denies the request, and so
// is it here; except where the trouble is this program's own, which is an error and not a denial.
func (e *evaluation) configurationError(err error, h *hook, binding *v1.ValidatingAdmissionPolicyBinding) error {
	if *h.Typed.Spec.FailurePolicy == v1.Ignore {
		return nil
	}
	if match.Unanswerable(err) {
		return status.Errorf(codes.FailedPrecondition, "%s '%s' cannot be evaluated: %v", policyKind, h.Typed.Name, err)
	}
	what := "policy"
	if binding != nil {
		what = "binding"
	}
	e.verdict.deny(h.Typed, binding, validating.PolicyDecision{
		Action:  validating.ActionDeny,
		Message: fmt.Sprintf("failed to configure %s: %v", what, err),
	})
	return nil
}
