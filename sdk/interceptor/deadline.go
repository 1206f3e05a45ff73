package interceptor

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// returnOverhead is kept back from the handler for the way back, so that a handler that runs out of
	// time is reported by its own process, which knows what it was doing, and not as the caller's timeout.
	returnOverhead = 20 * time.Millisecond
	// minimumWork is the least time a handler is worth starting with. Below it the answer would come too
	// late, and the work only slows down calls that still have a chance.
	minimumWork = 5 * time.Millisecond
	// unboundedLimit is for calls without a deadline: a person with grpcurl. It is
	// admissionregistration.k8s.io's largest timeoutSeconds, so no gate would wait longer.
	unboundedLimit = 30 * time.Second
)

// Needed is the least time a caller must leave for a call; with less it is refused.
const Needed = returnOverhead + minimumWork

// Deadline gives each handler a deadline shortly before the caller's, and refuses calls that have too
// little time left with DEADLINE_EXCEEDED. A call without a deadline gets thirty seconds.
func Deadline() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			deadline = time.Now().Add(unboundedLimit)
		} else {
			deadline = deadline.Add(-returnOverhead)
			if left := time.Until(deadline); left < minimumWork {
				return nil, status.Errorf(codes.DeadlineExceeded,
					"not enough time left for %s: %s, and it takes at least %s", info.FullMethod, left, minimumWork)
			}
		}
		ctx, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		return handle(ctx, req)
	}
}
