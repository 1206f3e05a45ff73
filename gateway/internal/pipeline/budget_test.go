package pipeline

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

func TestShare(t *testing.T) {
	tests := map[string]struct {
		left    time.Duration // 0: no deadline
		timeout time.Duration
		before  []*fold.Part
		after   int
		want    time.Duration
		err     string
	}{
		"its own timeout":                {left: 10 * time.Second, timeout: 2 * time.Second, want: 2 * time.Second},
		"no deadline":                    {timeout: 2 * time.Second, want: 2 * time.Second},
		"what is left":                   {left: time.Second, timeout: 5 * time.Second, want: time.Second},
		"less a quarter for one after":   {left: 8 * time.Second, timeout: 30 * time.Second, after: 1, want: 6 * time.Second},
		"less three eighths for three":   {left: 8 * time.Second, timeout: 30 * time.Second, after: 3, want: 5 * time.Second},
		"never less than half":           {left: 8 * time.Second, timeout: 30 * time.Second, after: 1000, want: 4 * time.Second},
		"none left":                      {left: 29 * time.Millisecond, timeout: time.Second, err: "the request's deadline left no time"},
		"none left, and who has used it": {left: 29 * time.Millisecond, timeout: time.Second, before: []*fold.Part{{Backend: "a", Duration: time.Second}, {Backend: "b", Duration: 3 * time.Second}, {Backend: "c"}}, err: `backend "b" took 3s, which left no time`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.left)
					defer cancel()
				}
				bounded, cancel, err := share(ctx, test.timeout, test.before, test.after)
				if test.err != "" {
					if err == nil || !strings.Contains(err.Error(), test.err) || outcome.Of(err) != outcome.NoTime {
						t.Fatalf("error is %v, want %q", err, test.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer cancel()
				deadline, _ := bounded.Deadline()
				if got := time.Until(deadline).Round(10 * time.Millisecond); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestShareOfACallerWhoHasLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := share(ctx, time.Second, nil, 0); outcome.Of(err) != outcome.Canceled {
		t.Errorf("error is %v", err)
	}
}
