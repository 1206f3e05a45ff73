package stack

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// absent stands for backends that cannot run here. It answers at once and says why, where an endpoint
// that nobody serves would only let the time run out.
type absent struct {
	admissionv1.UnsafeMutatorServiceServer
	admissionv1.UnsafeValidatorServiceServer
	endpoints map[string]string // by handler
	file      string
}

// Mutate implements admissionv1.MutatorServiceServer.
func (a *absent) Mutate(_ context.Context, req *admissionv1.MutateRequest) (*admissionv1.MutateResponse, error) {
	return nil, a.refuse("MutatorConfig", req.GetHandler())
}

// Validate implements admissionv1.ValidatorServiceServer.
func (a *absent) Validate(_ context.Context, req *admissionv1.ValidateRequest) (*admissionv1.ValidateResponse, error) {
	return nil, a.refuse("ValidatorConfig", req.GetHandler())
}

func (a *absent) refuse(kind, handler string) error {
	where := ""
	if endpoint := a.endpoints[handler]; endpoint != "" {
		where = fmt.Sprintf(" (in production at %s)", endpoint)
	}
	// Unimplemented is not retried.
	return status.Errorf(codes.Unimplemented, "%q%s cannot run offline: no %s in %s serves it", handler, where, kind, a.file)
}
