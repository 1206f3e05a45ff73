package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatefold/gatefold/sdk/interceptor"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// minWork is the least time with which asking a backend is worth while: what its server demands, and a
// little for the way. Below it the backend would be blamed for what others have used up.
const minWork = interceptor.Needed + 5*time.Millisecond

// share bounds ctx by the time that one backend may take: its own timeout, and what is left less a
// guaranteed part for those whose turn comes after it. Half of what is left is guaranteed to turns,
// evenly, so that a hanging first mutator leaves the others room to answer. before are the parts that
// have used the time up when there is none.
func share(ctx context.Context, timeout time.Duration, before []*fold.Part, after int) (context.Context, context.CancelFunc, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, nil, outcome.New(outcome.Canceled, ctx.Err())
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left < minWork {
			return nil, nil, outcome.New(outcome.NoTime, noTime(before))
		}
		guaranteed := left / 2 / time.Duration(after+1) * time.Duration(after)
		timeout = min(timeout, left-guaranteed)
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	return bounded, cancel, nil
}

// noTime names the backend that took most of the time.
func noTime(before []*fold.Part) error {
	var slowest *fold.Part
	for _, part := range before {
		if part.Duration > 0 && (slowest == nil || part.Duration > slowest.Duration) {
			slowest = part
		}
	}
	if slowest == nil {
		return errors.New("the request's deadline left no time to ask it")
	}
	return fmt.Errorf("backend %q took %s, which left no time to ask it", slowest.Backend, slowest.Duration.Round(time.Millisecond))
}
