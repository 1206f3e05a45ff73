// Package interceptor holds what every gRPC server of the gate and its services puts before a handler. One
// file does one job; sdk.NewServer lists them in order.
package interceptor

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Recover answers a call whose handler panics with INTERNAL, and logs the stack. Other calls go on. The
// panic's text stays here: it may hold parts of an object.
func Recover(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
		defer func() {
			if p := recover(); p != nil {
				logger.ErrorContext(ctx, "handler panicked",
					"method", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
				err = status.Error(codes.Internal, "the service panicked; its log has the stack")
			}
		}()
		return handle(ctx, req)
	}
}
