package identity_test

import (
	"context"
	"errors"
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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
)

func account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name}}
}

// lister returns what an informer would have after it saw these.
func lister(t *testing.T, known ...*corev1.ServiceAccount) corev1listers.ServiceAccountLister {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, sa := range known {
		if err := indexer.Add(sa); err != nil {
			t.Fatal(err)
		}
	}
	return corev1listers.NewServiceAccountLister(indexer)
}

func lookup(t *testing.T, l corev1listers.ServiceAccountLister, client kubernetes.Interface) *identity.Lookup {
	t.Helper()
	found, err := identity.NewLookup(identity.LookupConfig{Lister: l, Client: client, Meter: noop.NewMeterProvider().Meter("")})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// apiserver is a client whose every GET of a ServiceAccount takes a while, and is counted.
func apiserver(gets *int, answer func() (runtime.Object, error)) kubernetes.Interface {
	client := fake.NewClientset()
	client.PrependReactor("get", "serviceaccounts", func(kubetesting.Action) (bool, runtime.Object, error) {
		*gets++
		time.Sleep(100 * time.Millisecond)
		object, err := answer()
		return true, object, err
	})
	return client
}

func TestLookupAsksOnlyOnAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gets int
		client := apiserver(&gets, func() (runtime.Object, error) { return account("late"), nil })
		l := lookup(t, lister(t, account("known")), client)
		for range 3 {
			if sa, err := l.Get(t.Context(), "team-a", "known"); err != nil || sa.Name != "known" {
				t.Errorf("Get(known) = %v, %v", sa, err)
			}
		}
		if gets != 0 {
			t.Errorf("%d live GETs for a ServiceAccount that the informer knows, want none", gets)
		}
		if sa, err := l.Get(t.Context(), "team-a", "late"); err != nil || sa.Name != "late" || gets != 1 {
			t.Errorf("Get(late) = %v, %v after %d GETs, want it after one", sa, err, gets)
		}
	})
}

func TestLookupJoinsThoseWhoAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gets int
		l := lookup(t, lister(t), apiserver(&gets, func() (runtime.Object, error) { return account("late"), nil }))
		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := l.Get(impatient, "team-a", "late")
			failed <- err
		}()
		synctest.Wait() // the one whose time runs out is the one that started the GET
		for range 10 {
			go func() {
				if sa, err := l.Get(t.Context(), "team-a", "late"); err != nil || sa.Name != "late" {
					t.Errorf("Get = %v, %v", sa, err)
				}
			}()
		}
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient one got %v, want its own deadline", err)
		}
		time.Sleep(time.Second)
		if gets != 1 {
			t.Errorf("%d GETs, want 1", gets)
		}
	})
}

func TestLookupDoesNotRememberFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []func() (runtime.Object, error){
			func() (runtime.Object, error) {
				return nil, apierrors.NewForbidden(corev1.Resource("serviceaccounts"), "late", errors.New("rbac"))
			},
			func() (runtime.Object, error) {
				return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "late")
			},
			func() (runtime.Object, error) { return account("late"), nil },
		}
		var gets int
		l := lookup(t, lister(t), apiserver(&gets, func() (runtime.Object, error) { return answers[gets-1]() }))

		if _, err := l.Get(t.Context(), "team-a", "late"); status.Code(err) != codes.Unavailable || apierrors.IsNotFound(err) {
			t.Errorf("forbidden: %v, want UNAVAILABLE", err)
		}
		if _, err := l.Get(t.Context(), "team-a", "late"); !apierrors.IsNotFound(err) {
			t.Errorf("not there yet: %v, want not found", err)
		}
		if sa, err := l.Get(t.Context(), "team-a", "late"); err != nil || sa.Name != "late" {
			t.Errorf("there at last: %v, %v", sa, err)
		}
	})
}

func TestLookupIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gets int
		l := lookup(t, lister(t), apiserver(&gets, func() (runtime.Object, error) {
			return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "x")
		}))
		start := time.Now()
		for range 30 { // a burst of 20 at 100 ms a GET, refilled by 10 a second
			if _, err := l.Get(t.Context(), "team-a", "x"); !apierrors.IsNotFound(err) {
				t.Fatalf("Get: %v", err)
			}
		}
		const asked = 40
		unavailable := 0
		results := make(chan error, asked)
		for i := range asked {
			go func() {
				_, err := l.Get(t.Context(), "team-a", string(rune('a'+i)))
				results <- err
			}()
		}
		for range asked {
			if err := <-results; status.Code(err) == codes.Unavailable {
				unavailable++
			}
		}
		if unavailable == 0 {
			t.Errorf("%d GETs in %s, want some refused for want of a turn", gets, time.Since(start))
		}
		if limit := 20 + int(10*time.Since(start).Seconds()) + 1; gets > limit {
			t.Errorf("%d GETs in %s, want at most %d", gets, time.Since(start), limit)
		}
	})
}

func TestLookupCountsMisses(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	var gets int
	client := apiserver(&gets, func() (runtime.Object, error) { return account("late"), nil })
	for _, client := range []kubernetes.Interface{nil, client} {
		l, err := identity.NewLookup(identity.LookupConfig{Lister: lister(t, account("known")), Client: client, Meter: meter})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.Get(t.Context(), "team-a", "known")
		_, _ = l.Get(t.Context(), "team-a", "late")
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
