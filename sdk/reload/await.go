package reload

import (
	"context"
	"time"
)

// Patience is how long what comes with a reload may take to be ready, while what was in force before stays so.
const Patience = 10 * time.Second

// interval is how often it is looked at.
const interval = 50 * time.Millisecond

// Await returns nil once ready does, or else, when Patience is over or ctx is done, what ready says is in the way.
func Await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
