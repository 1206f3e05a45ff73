package identity

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
)

// AskVersion is a Sources.ServerVersion that asks kube-apiserver each time.
func AskVersion(client discovery.ServerVersionInterface) func(ctx context.Context) (*version.Info, error) {
	asking := discovery.ToServerVersionInterfaceWithContext(client)
	return func(ctx context.Context) (*version.Info, error) {
		ctx, cancel := context.WithTimeout(ctx, liveTimeout)
		defer cancel()
		info, err := asking.ServerVersionWithContext(ctx)
		if err != nil {
			return nil, status.Errorf(codes.FailedPrecondition, "asking kube-apiserver for its version: %v", err)
		}
		return info, nil
	}
}
