package validatorsvc

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/reload"

	"github.com/gatefold/gatefold/validator-svc/internal/quota"
)

// quotas is the validator "quota": it answers with the rules in force.
type quotas struct {
	from quota.From
	set  atomic.Pointer[quota.Set]
}

// use puts the rules of cfg in force, or, with an error, leaves those that are.
func (q *quotas) use(ctx context.Context, cfg quota.Config) error {
	before := q.set.Load()
	set, err := quota.New(cfg, q.from, before)
	if err != nil {
		return fmt.Errorf("taking in the rules of quota: %w", err)
	}
	if before == nil { // the service is being made, and is not ready until the cluster is
		q.set.Store(set)
		return nil
	}
	_ = reload.Await(ctx, set.Ready) // until they have counted, every request about them is an error that says so
	q.set.Store(set)
	before.CloseExcept(set)
	return nil
}

// Validate implements sdk.Validator.
func (q *quotas) Validate(ctx context.Context, r *sdk.Request) (*sdk.Verdict, error) {
	for {
		set := q.set.Load()
		verdict, err := set.Validate(ctx, r)
		// Rules that were replaced meanwhile know nothing any more.
		if err == nil || q.set.Load() == set {
			return verdict, err
		}
	}
}

// close ends the counting; nothing where no rules ever were in force.
func (q *quotas) close() {
	if set := q.set.Load(); set != nil {
		set.CloseExcept(nil)
	}
}
