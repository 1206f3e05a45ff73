package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// mutatorServer lets Mutators answer the contract's MutatorService.
type mutatorServer struct {
	admissionv1.UnsafeMutatorServiceServer
	handlers map[string]Mutator
	logger   *slog.Logger
}

var _ admissionv1.MutatorServiceServer = (*mutatorServer)(nil)

// Mutate asks the handler that the request names.
func (s *mutatorServer) Mutate(
	ctx context.Context, in *admissionv1.MutateRequest,
) (*admissionv1.MutateResponse, error) {
	call, mutator, err := newCall(ctx, s.logger, s.handlers, in.GetHandler(), in.GetRequest())
	if err != nil {
		return nil, err
	}
	mutation, err := mutator.Mutate(ctx, &Request{AdmissionRequest: in.GetRequest()})
	if err != nil {
		return nil, call.failed(ctx, err)
	}
	response, err := mutateResponse(in.GetRequest().GetObject(), mutation)
	if err != nil {
		return nil, call.failed(ctx, err)
	}
	return response, nil
}

// mutateResponse spells mutation in the contract's terms; raw is the object that was asked about.
func mutateResponse(raw []byte, mutation *Mutation) (*admissionv1.MutateResponse, error) {
	if mutation == nil {
		return &admissionv1.MutateResponse{}, nil
	}
	response := &admissionv1.MutateResponse{
		Warnings:         validStrings(mutation.Warnings),
		AuditAnnotations: validMap(mutation.AuditAnnotations),
	}
	if mutation.Denial != nil {
		response.Denial = validDenial(mutation.Denial)
		return response, nil
	}
	var err error
	if mutation.Object != nil {
		response.Operations, err = diff(raw, mutation.Object)
	} else {
		response.Operations, err = mutation.Patch.Operations()
	}
	if err != nil {
		return nil, fmt.Errorf("turning the mutation into a patch: %w", err)
	}
	response.Operations = validOperations(response.Operations)
	return response, nil
}

// validatorServer lets Validators answer the contract's ValidatorService.
type validatorServer struct {
	admissionv1.UnsafeValidatorServiceServer
	handlers map[string]Validator
	logger   *slog.Logger
}

var _ admissionv1.ValidatorServiceServer = (*validatorServer)(nil)

// Validate asks the handler that the request names.
func (s *validatorServer) Validate(
	ctx context.Context, in *admissionv1.ValidateRequest,
) (*admissionv1.ValidateResponse, error) {
	call, validator, err := newCall(ctx, s.logger, s.handlers, in.GetHandler(), in.GetRequest())
	if err != nil {
		return nil, err
	}
	verdict, err := validator.Validate(ctx, &Request{AdmissionRequest: in.GetRequest()})
	if err != nil {
		return nil, call.failed(ctx, err)
	}
	if verdict == nil {
		return &admissionv1.ValidateResponse{}, nil
	}
	return &admissionv1.ValidateResponse{
		Denials:          validDenials(verdict.Denials),
		Warnings:         validStrings(verdict.Warnings),
		AuditAnnotations: validMap(verdict.AuditAnnotations),
	}, nil
}

// call is one question to one handler.
type call struct {
	handler string
	uid     string
	logger  *slog.Logger
}

// newCall finds the handler that is asked, and names the call in its trace. Only the handler without a name
// answers for others: a backend that asks for what is no longer served here must hear so, and not be
// answered by whatever is left.
func newCall[H any](
	ctx context.Context, logger *slog.Logger, handlers map[string]H, name string, req *admissionv1.AdmissionRequest,
) (call, H, error) {
	var none H
	if req == nil {
		return call{}, none, status.Error(codes.InvalidArgument, "the call carries no admission request")
	}
	handler, ok := handlers[name]
	if !ok {
		handler, ok = handlers[""]
	}
	if !ok {
		return call{}, none, status.Errorf(codes.NotFound, "no handler %q here; served are: %s",
			name, strings.Join(slices.Sorted(maps.Keys(handlers)), ", "))
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(
			attribute.String("gatefold.handler", name),
			attribute.String("gatefold.request.uid", req.GetUid()),
			attribute.Bool("gatefold.request.dry_run", req.GetDryRun()),
		)
	}
	return call{handler: name, uid: req.GetUid(), logger: logger}, handler, nil
}

// failed logs why a question could not be answered and returns it as a gRPC status. Where nobody waits for the answer
// any more nothing has failed: the gate asks mutators ahead of their turn, and hangs up when it was in vain.
func (c call) failed(ctx context.Context, err error) error {
	coded := statusOf(ctx, err)
	if errors.Is(ctx.Err(), context.Canceled) {
		return coded.Err()
	}
	c.logger.LogAttrs(ctx, slog.LevelError, "handler failed",
		slog.String("handler", c.handler), slog.String("uid", c.uid),
		slog.String("code", coded.Code().String()), slog.Any("error", err))
	return coded.Err()
}

// statusOf gives every error a code. The call's own end comes first, because libraries often hide it in
// an error of their own; then a code that the handler chose; then whatever else ran out of time.
// UNAVAILABLE is not for a handler to choose: it is the transport's word for a server that was not reached,
// and clients, the gate among them, call again on it. A handler was reached, and has no answer.
func statusOf(ctx context.Context, err error) *status.Status {
	if ended := ctx.Err(); ended != nil {
		return status.New(status.FromContextError(ended).Code(), err.Error())
	}
	if chosen, ok := status.FromError(err); ok && chosen.Code() != codes.OK {
		if chosen.Code() == codes.Unavailable {
			return status.New(codes.FailedPrecondition, chosen.Message())
		}
		return chosen
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, err.Error())
	default:
		return status.New(codes.Internal, err.Error())
	}
}
