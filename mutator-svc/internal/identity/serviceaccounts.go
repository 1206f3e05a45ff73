package identity

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
)

// What a miss may cost: a pod is often created right after its ServiceAccount, before the informer has
// heard of it, so one live GET is worth its time; but a flood of pods must not become a flood of GETs.
// Most of a flood is answered by the informer, which is looked at again meanwhile.
const (
	liveTimeout   = time.Second // for one GET, waiting for its turn included; also of the version
	livePerSecond = 10
	liveBurst     = 20
	lookAgain     = 5 * time.Millisecond
	// answerReserve is what is kept of the caller's time for the answer.
	answerReserve = 50 * time.Millisecond
)

// LookupConfig is what a Lookup works with.
type LookupConfig struct {
	// Lister is the informer's view.
	Lister corev1listers.ServiceAccountLister
	// Client asks kube-apiserver on a miss. Nil: the lister has the last word.
	Client corev1client.ServiceAccountsGetter
	// Meter counts the misses.
	Meter metric.Meter
}

// Lookup finds ServiceAccounts in an informer's cache and, where they are not there, with one live GET,
// while it waits for the informer to hear of them. The outcome is not kept: found, the informer will
// bring it in a moment; not found or failed, the next pod deserves a fresh look. It is safe for
// concurrent use.
type Lookup struct {
	lister  corev1listers.ServiceAccountLister
	client  corev1client.ServiceAccountsGetter
	misses  metric.Int64Counter
	limiter *rate.Limiter
	flights singleflight.Group
}

// NewLookup returns a Lookup.
func NewLookup(cfg LookupConfig) (*Lookup, error) {
	misses, err := cfg.Meter.Int64Counter("gatefold.identity.serviceaccount.misses",
		metric.WithUnit("{lookup}"),
		metric.WithDescription("ServiceAccounts that the cache did not know, by what a live look then gave: found, absent or failed."))
	if err != nil {
		return nil, fmt.Errorf("counter of ServiceAccount misses: %w", err)
	}
	return &Lookup{
		lister:  cfg.Lister,
		client:  cfg.Client,
		misses:  misses,
		limiter: rate.NewLimiter(livePerSecond, liveBurst),
	}, nil
}

// Get implements ServiceAccounts.
func (l *Lookup) Get(ctx context.Context, namespace, name string, grace time.Duration) (*corev1.ServiceAccount, error) {
	sa, err := l.lister.ServiceAccounts(namespace).Get(name)
	if !apierrors.IsNotFound(err) {
		return sa, err
	}
	if l.client != nil {
		sa, err = l.await(ctx, namespace, name, grace)
	}
	l.misses.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome(err))))
	return sa, err
}

// await joins all who wait for one ServiceAccount at once. It does not hang on the patience of whoever
// came first, so what it waits for may outlive the request.
func (l *Lookup) await(ctx context.Context, namespace, name string, grace time.Duration) (*corev1.ServiceAccount, error) {
	came := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(deadline)-answerReserve)
	}
	for {
		flight := l.flights.DoChan(namespace+"/"+name, func() (any, error) {
			return l.look(context.WithoutCancel(ctx), namespace, name, grace), nil
		})
		select {
		case result := <-flight:
			got, _ := result.Val.(answer) // it is one: see above
			if apierrors.IsNotFound(got.err) && (got.asked.Before(came) || time.Since(came) < grace) {
				// The ServiceAccount may have been made after that question, and before this one. Or whoever
				// began had less time.
				continue
			}
			return got.sa, got.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// answer is what came of a look.
type answer struct {
	sa    *corev1.ServiceAccount
	err   error
	asked time.Time // when kube-apiserver was
}

// look asks kube-apiserver once, when it may, and the informer again and again. It ends when one of them
// knows the ServiceAccount, and otherwise when grace is over and kube-apiserver has answered.
func (l *Lookup) look(ctx context.Context, namespace, name string, grace time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, max(liveTimeout, grace))
	live := chan answer(nil) // there while the call runs
	defer func() {
		cancel()
		if live != nil {
			<-live // the call ends before this does
		}
	}()
	began, last := time.Now(), answer{err: status.Error(codes.FailedPrecondition, "too many live lookups")}
	again := time.NewTicker(lookAgain)
	defer again.Stop()

	for answered := false; !answered || time.Since(began) < grace; {
		if last.asked.IsZero() && l.limiter.Allow() {
			live = make(chan answer, 1)
			last = answer{asked: time.Now(), err: status.Errorf(codes.FailedPrecondition, "kube-apiserver has not answered within %v", max(liveTimeout, grace))}
			go func(to chan<- answer) { to <- l.get(ctx, namespace, name) }(live)
		}
		select {
		case got := <-live:
			answered, live = true, nil
			if last.sa, last.err = got.sa, got.err; got.err == nil {
				return last
			}
		case <-again.C:
		case <-ctx.Done():
			return last
		}
		if sa, err := l.lister.ServiceAccounts(namespace).Get(name); !apierrors.IsNotFound(err) {
			return answer{sa: sa, err: err}
		}
	}
	return last
}

// get asks kube-apiserver.
func (l *Lookup) get(ctx context.Context, namespace, name string) answer {
	sa, err := l.client.ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		err = status.Errorf(codes.FailedPrecondition, "asking kube-apiserver: %v", err)
	}
	return answer{sa: sa, err: err}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "found"
	case apierrors.IsNotFound(err):
		return "absent"
	}
	return "failed"
}
