// Package run starts the long-lived parts of a process and ends them together. It is the only place
// where goroutines are started at process level.
package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Tasks runs every task at once and returns when all of them have returned. The first error cancels the
// context of the others and is what Tasks returns; a panic becomes such an error. A task that returns nil
// leaves the others running. Ending because ctx is done is not a failure: context.Canceled is then taken
// as nil.
func Tasks(ctx context.Context, tasks ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var (
		group sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, task := range tasks {
		group.Go(func() {
			err := recovered(ctx, task)
			if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return
			}
			once.Do(func() { first = err })
			cancel()
		})
	}
	group.Wait()
	return first
}

// recovered calls task and turns a panic into an error that carries the stack: the process ends
// because of it, so there will be no other place to look.
func recovered(ctx context.Context, task func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return task(ctx)
}
