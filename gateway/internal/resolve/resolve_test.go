package resolve

import (
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listener is a channel that remembers what it is told.
type listener struct {
	resolver.ClientConn
	mu     sync.Mutex
	states [][]string
	errs   []string
}

func (l *listener) UpdateState(s resolver.State) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	addresses := []string{}
	for _, endpoint := range s.Endpoints {
		for _, address := range endpoint.Addresses {
			addresses = append(addresses, address.Addr)
		}
	}
	l.states = append(l.states, addresses)
	return nil
}

func (l *listener) ReportError(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err.Error())
}

// told returns every state and every error so far.
func (l *listener) told() (states [][]string, errs []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.states), slices.Clone(l.errs)
}

func (l *listener) want(t *testing.T, when string, states [][]string, errs []string) {
	t.Helper()
	gotStates, gotErrs := l.told()
	if diff := cmp.Diff(states, gotStates); diff != "" {
		t.Errorf("%s: addresses (-want +got):\n%s", when, diff)
	}
	if diff := cmp.Diff(errs, gotErrs); diff != "" {
		t.Errorf("%s: errors (-want +got):\n%s", when, diff)
	}
}

func target(t *testing.T, s string) resolver.Target {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return resolver.Target{URL: *u}
}

func build(t *testing.T, b resolver.Builder, to string) (resolver.Resolver, *listener) {
	t.Helper()
	l := &listener{}
	r, err := b.Build(target(t, to), l, resolver.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r, l
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}
