package tokens_test

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
)

// BenchmarkNobodyAsks is what the profile costs the pods that it is not for, which are most: no
// allocation, and no look into the pod's lists.
func BenchmarkNobodyAsks(b *testing.B) {
	object, err := os.ReadFile("../pod/testdata/pod.json")
	if err != nil {
		b.Fatal(err)
	}
	decoded, err := pod.Decode(object)
	if err != nil {
		b.Fatal(err)
	}
	sa := identitytest.ServiceAccount("reader", map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/reader"})
	req := &profile.Request{
		Pod: decoded, Namespace: identitytest.Namespace, ServiceAccount: sa.Name,
		Lookup: func(string) (*corev1.ServiceAccount, error) { return sa, nil },
	}
	cfg := tokens.Config{}
	cfg.SetDefaults()
	p := tokens.New(cfg)
	b.ReportAllocs()
	for b.Loop() {
		var out profile.Answer
		if err := p.Inject(req, &out); err != nil || !out.Patch.Empty() {
			b.Fatal(err, out.Patch)
		}
	}
}
