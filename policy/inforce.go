package policy

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/gatefold/gatefold/sdk/reload"
)

// Set is a set of policies; *validating.Set and *mutating.Set are.
type Set interface {
	// Ready returns nil once all params of the cluster were listed.
	Ready() error
	// Close ends the following of params.
	Close()
	// Notes says what is odd about the policies.
	Notes() []string
	// Policies returns the names of the policies.
	Policies() []string
}

// InForce is the set of policies that is in force, which is replaced while it is asked. The zero value has none. Ask
// is safe for concurrent use, and Use and Close from one goroutine while it goes on.
type InForce[S Set] struct{ set atomic.Pointer[S] }

// Use puts set in force, in place of the one before, which is closed, and logs what there is to say of it. It waits
// for the params of a set that replaces another one, for reload.Patience at most: after that it is in force all the
// same, and a policy without its params is an error. The first set has nobody yet who asks it.
func (f *InForce[S]) Use(ctx context.Context, set S, logger *slog.Logger) {
	for _, note := range set.Notes() {
		logger.WarnContext(ctx, "about the policies", "note", note)
	}
	if f.set.Load() != nil {
		if err := reload.Await(ctx, set.Ready); err != nil {
			logger.WarnContext(ctx, "policies come in force without their params", "error", err)
		}
	}
	if before := f.set.Swap(&set); before != nil {
		(*before).Close()
	}
	logger.InfoContext(ctx, "policies in force", "policies", set.Policies())
}

// Ask asks the set in force, and the next one if that came meanwhile: the one before has been closed, and may have
// lacked its params. There must be one.
func Ask[S Set, R any](f *InForce[S], ask func(S) (R, error)) (R, error) {
	for {
		set := f.set.Load()
		answer, err := ask(*set)
		if f.set.Load() == set {
			return answer, err
		}
	}
}

// Close closes the set in force; nothing where none ever was.
func (f *InForce[S]) Close() {
	if set := f.set.Load(); set != nil {
		(*set).Close()
	}
}
