package validatorsvc

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/validator-svc/internal/quota"
)

const (
	// quotaCountsWithin is how long rules that come with a reload may take to count before they are in force
	// all the same, as an error for every request until they have.
	quotaCountsWithin = 10 * time.Second
	quotaLooksAgain   = 20 * time.Millisecond
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
	ctx, cancel := context.WithTimeout(ctx, quotaCountsWithin)
	defer cancel()
	for set.Ready() != nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(quotaLooksAgain):
		}
	}
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

func (q *quotas) close() { q.set.Load().CloseExcept(nil) }
