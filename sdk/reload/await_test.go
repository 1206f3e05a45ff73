package reload_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatefold/gatefold/sdk/reload"
)

func TestAwait(t *testing.T) {
	wait := errors.New("not yet")
	tests := map[string]struct {
		readyAfter, timeout time.Duration
		want                error
		took                time.Duration
	}{
		"at once":             {},
		"after a while":       {readyAfter: time.Second, took: time.Second},
		"not in time":         {readyAfter: time.Hour, want: wait, took: reload.Patience},
		"the program is done": {readyAfter: time.Hour, timeout: 3 * time.Second, want: wait, took: 3 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				begin := time.Now()
				err := reload.Await(ctx, func() error {
					if time.Since(begin) >= test.readyAfter {
						return nil
					}
					return wait
				})
				if took := time.Since(begin); !errors.Is(err, test.want) || took != test.took {
					t.Errorf("%v after %s, want %v after %s", err, took, test.want, test.took)
				}
			})
		})
	}
}
