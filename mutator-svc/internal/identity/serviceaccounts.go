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
const (
	liveTimeout   = time.Second // for one GET, waiting for its turn included
	livePerSecond = 10
	liveBurst     = 20
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

// Lookup finds ServiceAccounts in an informer's cache, and with one live GET where they are not there.
// The outcome of a GET is not kept: found, the informer will bring it in a moment; not found or failed,
// the next pod deserves a fresh look. It is safe for concurrent use.
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
func (l *Lookup) Get(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	sa, err := l.lister.ServiceAccounts(namespace).Get(name)
	if !apierrors.IsNotFound(err) {
		return sa, err
	}
	if l.client != nil {
		sa, err = l.live(ctx, namespace, name)
	}
	l.misses.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome(err))))
	return sa, err
}

// live joins all who ask for one ServiceAccount at once into one GET. That GET does not hang on the
// patience of whoever came first.
func (l *Lookup) live(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	flight := l.flights.DoChan(namespace+"/"+name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liveTimeout)
		defer cancel()
		if err := l.limiter.Wait(ctx); err != nil {
			return nil, status.Errorf(codes.FailedPrecondition, "too many live lookups: %v", err)
		}
		sa, err := l.client.ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, status.Errorf(codes.FailedPrecondition, "asking kube-apiserver: %v", err)
		}
		return sa, err
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		sa, _ := result.Val.(*corev1.ServiceAccount) // it is one: see above
		return sa, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
