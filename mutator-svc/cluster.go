package mutatorsvc

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
)

// serviceAccounts returns where identity looks up ServiceAccounts. They are not watched by a process that
// does not serve it.
func serviceAccounts(state *cluster.Cluster, opts Options) (identity.ServiceAccounts, error) {
	if !state.Known() || state.ServiceAccounts == nil {
		return unknownCluster{}, nil
	}
	lookup := identity.LookupConfig{
		Lister: state.ServiceAccounts,
		Meter:  opts.Telemetry.MeterProvider.Meter(scope),
	}
	if state.Client != nil {
		lookup.Client = state.Client.CoreV1()
	}
	return identity.NewLookup(lookup)
}

// unknownCluster fails every lookup, in a process that does not serve identity: where nothing is known of the
// cluster, "not found" would be a guess.
type unknownCluster struct{}

// Get implements identity.ServiceAccounts.
func (unknownCluster) Get(context.Context, string, string) (*corev1.ServiceAccount, error) {
	return nil, status.Error(codes.FailedPrecondition, "nothing is known of the cluster: start the service with a kubeconfig, with object files, or in a pod")
}
