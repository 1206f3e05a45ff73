package webhook

import (
	"context"
	"net/http"
	"time"
)

const (
	// defaultTimeout is kube-apiserver's own, for a caller that does not say how long it waits.
	defaultTimeout = 10 * time.Second
	// maxTimeout is the longest that a webhook registration allows.
	maxTimeout = 30 * time.Second
	// roundedUp is how much earlier than it says kube-apiserver may stop waiting: ?timeout= is rounded up
	// to a whole second (k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go).
	roundedUp = time.Second
	// replyReserve is for folding, encoding and the way back.
	replyReserve = 250 * time.Millisecond
)

// withDeadline bounds ctx by the time the answer is still of use.
func withDeadline(ctx context.Context, r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, budget(r.URL.Query().Get("timeout")))
}

// budget is what the backends may take of a ?timeout=. Of a short one at most half is given away to
// rounding, or nothing would be left of one second.
func budget(query string) time.Duration {
	timeout, err := time.ParseDuration(query)
	if err != nil || timeout <= 0 {
		timeout = defaultTimeout
	}
	timeout = min(timeout, maxTimeout)
	return timeout - min(roundedUp, timeout/2) - min(replyReserve, timeout/4)
}
