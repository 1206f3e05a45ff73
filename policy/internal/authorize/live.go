package authorize

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	admissionauthorizer "k8s.io/apiserver/pkg/admission/plugin/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// How long what the apiserver said holds: the defaults of kube-apiserver's own extension servers.
const (
	allowedTTL = 10 * time.Second
	deniedTTL  = 10 * time.Second
)

// Live returns what asks the apiserver, by SubjectAccessReviews. An error means that it could not be asked. The
// program needs the right to create subjectaccessreviews, as the ClusterRole system:auth-delegator gives.
func Live(client authorizationclient.AuthorizationV1Interface) (authorizer.UnconditionalAuthorizer, error) {
	a, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client,
		AllowCacheTTL:             allowedTTL,
		DenyCacheTTL:              deniedTTL,
		// Once more, for a connection that was closed; a request has not much time.
		WebhookRetryBackoff: &wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1, Steps: 2},
	}.New()
	if err != nil {
		return nil, fmt.Errorf("preparing to ask the apiserver who may do what: %w", err)
	}
	return a, nil
}

// reserve is what is left of a request's time when the apiserver does not answer.
const reserve = 50 * time.Millisecond

// longest is how long the apiserver is waited for when the request has all the time in the world.
const longest = 10 * time.Second

// Asked is an authorizer for one request, which remembers that it could not be asked. It is for one goroutine. Nil:
// there is none.
type Asked struct {
	ctx context.Context //nolint:containedctx // that of the request: CEL does not hand on a context with a deadline
	to  authorizer.UnconditionalAuthorizer
	err error
}

// ForRequest returns an authorizer that asks to within the time of ctx; nil if to is. The same question of several
// expressions is asked once, as in kube-apiserver.
func ForRequest(ctx context.Context, to authorizer.UnconditionalAuthorizer) *Asked {
	if to == nil {
		return nil
	}
	return &Asked{ctx: ctx, to: admissionauthorizer.NewCachingAuthorizer(to)}
}

// Authorizer returns a as upstream's packages want it: they compare with nil.
func (a *Asked) Authorizer() authorizer.UnconditionalAuthorizer {
	if a == nil {
		return nil
	}
	return a
}

// Authorize implements authorizer.UnconditionalAuthorizer.
func (a *Asked) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	until := time.Now().Add(longest)
	if end, ok := a.ctx.Deadline(); ok && end.Add(-reserve).Before(until) {
		until = end.Add(-reserve)
	}
	ctx, cancel := context.WithDeadline(a.ctx, until)
	defer cancel()
	decision, reason, err := a.to.Authorize(ctx, attributes)
	if err != nil {
		a.err = fmt.Errorf("asking who may do what: %w", err)
	}
	return decision, reason, err
}

// TakeError returns why it could not be asked, since the last time; nil when it could, or when a is nil. Expressions
// take it for a no, or for an error of their own.
func (a *Asked) TakeError() error {
	if a == nil {
		return nil
	}
	err := a.err
	a.err = nil
	return err
}
