package azure_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/version"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
)

const (
	plain     = `{"metadata":{"name":"pod","labels":{"azure.workload.identity/use":"true"}},"spec":{"containers":[{"name":"app"}]}}`
	withProxy = `{"metadata":{"name":"pod","labels":{"azure.workload.identity/use":"true"},"annotations":{"azure.workload.identity/inject-proxy-sidecar":""}},"spec":{"containers":[{"name":"app"}]}}`
)

// server answers with err first, and then with its version.
type server struct {
	err   error
	git   string
	asked atomic.Int32
}

func (s *server) mutator(t *testing.T) *identity.Mutator {
	return identitytest.New(t, identity.Config{Azure: &azure.Config{TenantID: "t"}}, identity.Sources{
		ServiceAccounts: identitytest.Everyone{},
		ServerVersion: func(context.Context) (*version.Info, error) {
			if s.asked.Add(1) == 1 && s.err != nil {
				return nil, s.err
			}
			return &version.Info{GitVersion: s.git}, nil
		},
	})
}

func TestServerIsAskedForItsVersionForTheFirstProxyAndOnlyUntilItAnswers(t *testing.T) {
	s := &server{err: errors.New("no route"), git: "v1.31.0"}
	mutator := s.mutator(t)
	identitytest.Pass(t, mutator, []byte(plain))
	if asked := s.asked.Load(); asked != 0 {
		t.Fatalf("asked %d times for a pod without a proxy, want never", asked)
	}
	denied := strings.Replace(withProxy, `"annotations":{`, `"annotations":{"azure.workload.identity/service-account-token-expiration":"1",`, 1)
	if got := identitytest.Pass(t, mutator, []byte(denied)); got.Denial == nil || s.asked.Load() != 0 {
		t.Fatalf("denial %v, asked %d times, want a denial without asking", got.Denial, s.asked.Load())
	}
	if m, err := mutator.Mutate(t.Context(), identitytest.Request([]byte(withProxy))); !errors.Is(err, s.err) || m != nil {
		t.Errorf("Mutate = %v, %v, want the server's error and no answer", m, err)
	}
	for range 3 {
		identitytest.Pass(t, mutator, []byte(withProxy))
	}
	if asked := s.asked.Load(); asked != 2 {
		t.Errorf("asked %d times, want once more after the error", asked)
	}
}

// Both pods in full are among mutator-svc/tests/azure.
func TestTheServersVersionDecides(t *testing.T) {
	pod := []byte(strings.Replace(withProxy, `"containers"`, `"initContainers":[{"name":"setup"}],"containers"`, 1))
	inject := func(setting azure.NativeSidecars, git string) string {
		cfg := identity.Config{Azure: &azure.Config{TenantID: "t", NativeSidecars: setting}}
		account := identitytest.Everyone{"azure.workload.identity/client-id": "c"}
		return string(identitytest.Inject(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: account, ServerVersion: identitytest.Version(git)}), pod).Object)
	}
	native, plain := inject(azure.NativeSidecarsTrue, ""), inject(azure.NativeSidecarsFalse, "")
	if native == plain {
		t.Fatal("a native sidecar is no other than a plain one")
	}
	for name, tc := range map[string]struct {
		setting azure.NativeSidecars
		git     string
		want    string
	}{
		"before":           {"", "v1.31.9", plain},
		"before, auto":     {azure.NativeSidecarsAuto, "v1.31.9", plain},
		"the first":        {"", "v1.32.0", native},
		"the first of GKE": {"", "v1.32.0-gke.1000", native},
		"later, of k3s":    {"", "v1.36.3+k3s1", native},
		"before, of EKS":   {"", "v1.29.15-eks-1", plain},
		"another major":    {"", "v2.0.0", native},
		"true, an old one": {azure.NativeSidecarsTrue, "v1.20.0", native},
		"false, a new one": {azure.NativeSidecarsFalse, "v1.40.0", plain},
	} {
		t.Run(name, func(t *testing.T) {
			if got := inject(tc.setting, tc.git); got != tc.want {
				t.Errorf("%s with a server of %s:\n%s\nwant:\n%s", tc.setting, tc.git, got, tc.want)
			}
		})
	}
}

func TestAVersionThatIsNoneIsAnError(t *testing.T) {
	s := &server{git: "unknown"}
	if m, err := s.mutator(t).Mutate(t.Context(), identitytest.Request([]byte(withProxy))); err == nil {
		t.Errorf("Mutate = %v, want an error", m)
	}
}

// The race detector looks at this one.
func TestManyPodsAtOnce(t *testing.T) {
	s := &server{git: "v1.36.3"}
	mutator := s.mutator(t)
	var pods sync.WaitGroup
	for range 8 {
		pods.Go(func() {
			if m, err := mutator.Mutate(t.Context(), identitytest.Request([]byte(withProxy))); err != nil || m.Patch.Empty() {
				t.Errorf("Mutate = %v, %v, want a patch", m, err)
			}
		})
	}
	pods.Wait()
}
