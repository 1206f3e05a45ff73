package identity_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
)

func account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name}}
}

// lister returns what an informer would have after it saw these.
func lister(t *testing.T, known ...*corev1.ServiceAccount) corev1listers.ServiceAccountLister {
	t.Helper()
	return corev1listers.NewServiceAccountLister(newIndexer(t, known...))
}

func newIndexer(t *testing.T, known ...*corev1.ServiceAccount) cache.Indexer {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, sa := range known {
		if err := indexer.Add(sa); err != nil {
			t.Fatal(err)
		}
	}
	return indexer
}

func forbidden() (*corev1.ServiceAccount, error) {
	return nil, apierrors.NewForbidden(corev1.Resource("serviceaccounts"), "late", errors.New("rbac"))
}

func lookup(t *testing.T, l corev1listers.ServiceAccountLister, client corev1client.ServiceAccountsGetter) *identity.Lookup {
	t.Helper()
	found, err := identity.NewLookup(identity.LookupConfig{Lister: l, Client: client, Meter: noop.NewMeterProvider().Meter("")})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// apiserver stands for a client whose every GET of a ServiceAccount takes a while. (client-go's fake
// holds a lock over its reactors, which synctest cannot see through.)
type apiserver struct {
	corev1client.ServiceAccountInterface
	gets   atomic.Int64
	answer func() (*corev1.ServiceAccount, error)
}

func (a *apiserver) ServiceAccounts(string) corev1client.ServiceAccountInterface { return a }

func (a *apiserver) Get(ctx context.Context, _ string, _ metav1.GetOptions) (*corev1.ServiceAccount, error) {
	a.gets.Add(1)
	select {
	case <-time.After(100 * time.Millisecond):
		return a.answer()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func always(sa *corev1.ServiceAccount) *apiserver {
	return &apiserver{answer: func() (*corev1.ServiceAccount, error) { return sa, nil }}
}

func notFound() (*corev1.ServiceAccount, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "late")
}

func TestLookupAsksOnlyOnAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := always(account("late"))
		l := lookup(t, lister(t, account("known")), client)
		for range 3 {
			if sa, err := l.Get(t.Context(), "team-a", "known", 0); err != nil || sa.Name != "known" {
				t.Errorf("Get(known) = %v, %v", sa, err)
			}
		}
		if gets := client.gets.Load(); gets != 0 {
			t.Errorf("%d live GETs for a ServiceAccount that the informer knows, want none", gets)
		}
		sa, err := l.Get(t.Context(), "team-a", "late", 0)
		if gets := client.gets.Load(); err != nil || sa.Name != "late" || gets != 1 {
			t.Errorf("Get(late) = %v, %v after %d GETs, want it after one", sa, err, gets)
		}
	})
}

func TestLookupJoinsThoseWhoAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := always(account("late"))
		l := lookup(t, lister(t), client)
		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := l.Get(impatient, "team-a", "late", 0)
			failed <- err
		}()
		synctest.Wait() // the one whose time runs out is the one that started the GET
		for range 10 {
			go func() {
				if sa, err := l.Get(t.Context(), "team-a", "late", 0); err != nil || sa.Name != "late" {
					t.Errorf("Get = %v, %v", sa, err)
				}
			}()
		}
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient one got %v, want its own deadline", err)
		}
		time.Sleep(time.Second)
		if gets := client.gets.Load(); gets != 1 {
			t.Errorf("%d GETs, want 1", gets)
		}
	})
}

func TestLookupDoesNotRememberFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &apiserver{}
		l := lookup(t, lister(t), client)

		client.answer = forbidden
		if _, err := l.Get(t.Context(), "team-a", "late", 0); status.Code(err) != codes.FailedPrecondition || apierrors.IsNotFound(err) {
			t.Errorf("forbidden: %v, want FAILED_PRECONDITION", err)
		}
		client.answer = notFound
		if _, err := l.Get(t.Context(), "team-a", "late", 0); !apierrors.IsNotFound(err) {
			t.Errorf("not there yet: %v, want not found", err)
		}
		client.answer = func() (*corev1.ServiceAccount, error) { return account("late"), nil }
		if sa, err := l.Get(t.Context(), "team-a", "late", 0); err != nil || sa.Name != "late" {
			t.Errorf("there at last: %v, %v", sa, err)
		}
	})
}

func TestLookupIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &apiserver{answer: notFound}
		l := lookup(t, lister(t), client)
		const asked = 100
		results := make(chan error, asked)
		for i := range asked {
			go func() {
				_, err := l.Get(t.Context(), "team-a", fmt.Sprintf("sa-%d", i), 0)
				results <- err
			}()
		}
		answered, refused := 0, 0
		for range asked {
			switch err := <-results; {
			case apierrors.IsNotFound(err):
				answered++
			case status.Code(err) == codes.FailedPrecondition:
				refused++
			default:
				t.Errorf("Get: %v", err)
			}
		}
		// The burst of 20 goes at once; of those who wait at most a second, ten more get their turn, and
		// some of these too late for their answer.
		if gets := client.gets.Load(); gets < 20 || gets > 30 {
			t.Errorf("%d GETs, want 20 to 30", gets)
		}
		if answered < 20 || answered+refused != asked {
			t.Errorf("%d answered and %d refused, want at least 20 answered", answered, refused)
		}
	})
}

// A pod comes before its ServiceAccount: at first not even kube-apiserver knows it.
func TestLookupWaitsForTheInformer(t *testing.T) {
	for name, tc := range map[string]struct {
		answer      func() (*corev1.ServiceAccount, error) // of kube-apiserver, after 100 ms
		after       time.Duration                          // when the informer hears of it; 0: never
		grace, took time.Duration
		found       bool
		code        codes.Code // of an error that is not NotFound
	}{
		"it is heard of at once":                          {answer: notFound, after: 50 * time.Millisecond, grace: 250 * time.Millisecond, took: 50 * time.Millisecond, found: true},
		"it is heard of after kube-apiserver's no":        {answer: notFound, after: 200 * time.Millisecond, grace: 250 * time.Millisecond, took: 200 * time.Millisecond, found: true},
		"it is heard of too late":                         {answer: notFound, after: 300 * time.Millisecond, grace: 250 * time.Millisecond, took: 250 * time.Millisecond},
		"nobody waits":                                    {answer: notFound, after: 200 * time.Millisecond, took: 100 * time.Millisecond},
		"kube-apiserver may not tell, the informer knows": {answer: forbidden, after: 200 * time.Millisecond, grace: 250 * time.Millisecond, took: 200 * time.Millisecond, found: true},
		"kube-apiserver may not tell, nobody knows":       {answer: forbidden, grace: 250 * time.Millisecond, took: 250 * time.Millisecond, code: codes.FailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				indexer := newIndexer(t)
				client := &apiserver{answer: tc.answer}
				l := lookup(t, corev1listers.NewServiceAccountLister(indexer), client)
				if tc.after > 0 {
					time.AfterFunc(tc.after-time.Millisecond, func() { _ = indexer.Add(account("late")) })
				}
				began := time.Now()
				sa, err := l.Get(t.Context(), "team-a", "late", tc.grace)
				if took := time.Since(began); took < tc.took-10*time.Millisecond || took > tc.took+10*time.Millisecond {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				switch {
				case tc.found && (err != nil || sa.Name != "late"):
					t.Errorf("Get = %v, %v, want it", sa, err)
				case !tc.found && tc.code == codes.OK && !apierrors.IsNotFound(err):
					t.Errorf("Get = %v, %v, want not found", sa, err)
				case tc.code != codes.OK && status.Code(err) != tc.code:
					t.Errorf("Get = %v, %v, want %v", sa, err, tc.code)
				}
				if gets := client.gets.Load(); gets != 1 {
					t.Errorf("%d GETs, want 1", gets)
				}
				time.Sleep(time.Second) // until the informer has heard of it
			})
		})
	}
}

// Who comes after kube-apiserver was asked does not have to be content with its no: the ServiceAccount may have
// been made in between.
func TestLookupOfLatecomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := time.Now().Add(50 * time.Millisecond)
		client := &lateAPI{made: made}
		l := lookup(t, lister(t), client)
		for range 5 {
			go func() { // the first one, and those who share its question
				if _, err := l.Get(t.Context(), "team-a", "late", 250*time.Millisecond); !apierrors.IsNotFound(err) {
					t.Errorf("early: %v, want not found", err)
				}
			}()
		}
		time.Sleep(60 * time.Millisecond)
		for range 5 {
			go func() {
				if sa, err := l.Get(t.Context(), "team-a", "late", 250*time.Millisecond); err != nil || sa.Name != "late" {
					t.Errorf("latecomer: %v, %v, want it", sa, err)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		if gets := client.gets.Load(); gets != 2 {
			t.Errorf("%d GETs, want 2", gets)
		}
	})
}

// lateAPI knows a ServiceAccount from a moment on, and answers in 10 ms about the moment when it was asked.
type lateAPI struct {
	corev1client.ServiceAccountInterface
	made time.Time
	gets atomic.Int64
}

func (a *lateAPI) ServiceAccounts(string) corev1client.ServiceAccountInterface { return a }

func (a *lateAPI) Get(context.Context, string, metav1.GetOptions) (*corev1.ServiceAccount, error) {
	a.gets.Add(1)
	known := !time.Now().Before(a.made)
	time.Sleep(10 * time.Millisecond)
	if !known {
		return notFound()
	}
	return account("late"), nil
}

// The wait ends in time for an answer, and what kube-apiserver has said by then is one.
func TestLookupKeepsToTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lookup(t, lister(t), &apiserver{answer: notFound})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := l.Get(ctx, "team-a", "late", 5*time.Second); !apierrors.IsNotFound(err) {
			t.Errorf("%v, want not found", err)
		}
		silent := lookup(t, lister(t), &apiserver{answer: func() (*corev1.ServiceAccount, error) {
			time.Sleep(time.Minute)
			return notFound()
		}})
		_, err := silent.Get(t.Context(), "team-a", "late", 0)
		if want := "kube-apiserver has not answered within 1s"; status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	})
}

// Nobody among many who come right after their ServiceAccounts goes without, though few may ask.
func TestLookupOfManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		indexer := newIndexer(t)
		client := &apiserver{answer: notFound}
		l := lookup(t, corev1listers.NewServiceAccountLister(indexer), client)
		const many = 1000
		for i := range many {
			name := fmt.Sprintf("sa-%d", i)
			go func() {
				if sa, err := l.Get(t.Context(), "team-a", name, 0); err != nil {
					t.Errorf("Get = %v, %v", sa, err)
				}
			}()
			time.AfterFunc(90*time.Millisecond, func() { _ = indexer.Add(account(name)) })
		}
		time.Sleep(2 * time.Second)
		if gets := client.gets.Load(); gets > 21 {
			t.Errorf("%d GETs, want 20 and perhaps one", gets)
		}
	})
}

func TestLookupCountsMisses(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	for _, client := range []corev1client.ServiceAccountsGetter{nil, always(account("late"))} {
		l, err := identity.NewLookup(identity.LookupConfig{Lister: lister(t, account("known")), Client: client, Meter: meter})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.Get(t.Context(), "team-a", "known", 0)
		_, _ = l.Get(t.Context(), "team-a", "late", 0)
	}
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
			outcome, _ := point.Attributes.Value("outcome")
			got[m.Name+" "+outcome.AsString()] = point.Value
		}
	}
	want := map[string]int64{
		"gatefold.identity.serviceaccount.misses absent": 1, // no client: the lister has the last word
		"gatefold.identity.serviceaccount.misses found":  1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
