package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/interceptor"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

const (
	// maxRetries, and the delays below, are those of serviceConfig.
	maxRetries = 2
	// errorBytes is how much is read of an answer that is not 200, textRunes how much of that is told.
	errorBytes = 4 << 10
	textRunes  = 200
)

// try is one attempt to ask a webhook: how far it got, and what came of it.
type try struct {
	connected bool
	replica   string        // the address that was asked, where known
	err       error         // there is no answer
	status    int           // of the answer
	location  string        // where it redirects to
	body      []byte        // all of it at status 200, else its beginning
	again     bool          // another attempt is safe and makes sense
	after     time.Duration // before which it makes none; 0: the webhook does not say
}

// retries asks again where the webhook cannot have begun to answer, or has said that it did not: it has side
// effects of its own, perhaps. When everything fails, retries are at most three, or a fifth of what is under way.
func retries() failsafe.Policy[try] {
	return retrypolicy.NewBuilder[try]().
		HandleIf(func(t try, _ error) bool { return t.again }).
		WithMaxRetries(maxRetries).
		WithBackoffFactor(20*time.Millisecond, 200*time.Millisecond, 3).
		WithJitterFactor(0.2).
		WithDelayFunc(func(attempt failsafe.ExecutionAttempt[try]) time.Duration {
			if after := attempt.LastResult().after; after > 0 {
				return after
			}
			return -1 // the backoff
		}).
		WithBudget(budget.New()).
		Build()
}

// mayConnect tells whether it makes sense to connect again after an error in doing so.
func mayConnect(ctx context.Context, err error) bool {
	_, distrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return ctx.Err() == nil && !distrusted
}

// read takes in the answer, of which there may be no more than a backend may send by gRPC.
func (t *try) read(ctx context.Context, resp *http.Response) {
	t.status, t.location = resp.StatusCode, resp.Header.Get("Location")
	if t.status == http.StatusTooManyRequests || t.status == http.StatusServiceUnavailable {
		// In seconds: kube-apiserver does not obey a date either (k8s.io/client-go/rest/with_retry.go).
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		t.after = time.Duration(seconds) * time.Second
		t.again = err == nil && seconds >= 0 && timeFor(ctx, t.after)
	}
	limit := int64(sdk.MaxMessageBytes)
	if t.status != http.StatusOK {
		limit = errorBytes
	}
	t.body, t.err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if t.err == nil {
		// As the time runs out the connection is closed, and a server that sees that first may yet end what it
		// was saying in good order.
		t.err = ctx.Err()
	}
	if t.err == nil && t.status == http.StatusOK && int64(len(t.body)) > limit {
		t.err = outcome.New(outcome.BackendError, fmt.Errorf("its answer is larger than %d bytes", limit))
	}
}

// timeFor tells whether the time that is left is enough to wait, and ask then.
func timeFor(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > wait+interceptor.Needed
}

// failure says what the webhook answered instead of a review.
func (t *try) failure() error {
	switch {
	case t.status >= 300 && t.status < 400:
		return fmt.Errorf("it answered with HTTP %d, a redirect to %q, which is not followed: the endpoint must be the URL that answers", t.status, printable([]byte(t.location)))
	case len(t.body) == 0:
		return fmt.Errorf("it answered with HTTP %d", t.status)
	default:
		return fmt.Errorf("it answered with HTTP %d: %s", t.status, printable(t.body))
	}
}

// printable is the beginning of a text that somebody else has written, on one line.
func printable(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(text))
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > textRunes {
		return string(runes[:textRunes]) + "..."
	}
	return clean
}

// explainTry is explain for an attempt that brought no answer.
func explainTry(ctx context.Context, t try, took time.Duration) error {
	err := t.err
	if failure, ok := errors.AsType[*outcome.Error](err); ok {
		return failure
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // which repeats the endpoint
	}
	if distrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return outcome.New(outcome.Unreachable, fmt.Errorf("its certificate is not trusted (see caBundle and tls): %w", distrusted.Err))
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return outcome.New(outcome.Canceled, errors.New("the caller stopped waiting"))
	case errors.Is(err, context.DeadlineExceeded) && nearlyOver(ctx) && !t.connected:
		return outcome.New(outcome.Timeout, fmt.Errorf("no answer within %s: no connection to it", took.Round(time.Millisecond)))
	case errors.Is(err, context.DeadlineExceeded) && nearlyOver(ctx):
		return outcome.New(outcome.Timeout, fmt.Errorf("no answer within %s: %w", took.Round(time.Millisecond), err))
	case !t.connected:
		return outcome.New(outcome.Unreachable, fmt.Errorf("it cannot be reached: %w", err))
	default:
		return outcome.New(outcome.Unreachable, fmt.Errorf("it cannot be reached: the connection broke before it had answered: %w", err))
	}
}
