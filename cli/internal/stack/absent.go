package stack

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/gateway"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// absent stands for backends that do not run in this process. It answers at once and says why, where an
// endpoint that nobody serves would only let the time run out.
type absent struct {
	admissionv1.UnsafeMutatorServiceServer
	admissionv1.UnsafeValidatorServiceServer
	endpoints map[away]string // where they are in production
	cfg       *Config
}

// Mutate implements admissionv1.MutatorServiceServer.
func (a *absent) Mutate(_ context.Context, req *admissionv1.MutateRequest) (*admissionv1.MutateResponse, error) {
	return nil, a.refuse(away{gateway.Mutator, req.GetHandler()})
}

// Validate implements admissionv1.ValidatorServiceServer.
func (a *absent) Validate(_ context.Context, req *admissionv1.ValidateRequest) (*admissionv1.ValidateResponse, error) {
	return nil, a.refuse(away{gateway.Validator, req.GetHandler()})
}

// refuse answers with FailedPrecondition because that is not retried.
func (a *absent) refuse(backend away) error {
	endpoint := a.endpoints[backend]
	if strings.HasPrefix(endpoint, "https://") {
		return status.Errorf(codes.FailedPrecondition, "%s is not asked offline", endpoint)
	}
	if endpoint != "" && !strings.HasPrefix(endpoint, inproc) {
		return status.Errorf(codes.FailedPrecondition, "%s is not asked offline, and %s", endpoint, a.cfg.unserved(backend, endpoint))
	}
	return status.Error(codes.FailedPrecondition, a.cfg.unserved(backend, endpoint))
}
