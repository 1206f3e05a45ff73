package run_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatefold/gatefold/sdk/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

func untilDone(ctx context.Context) error { <-ctx.Done(); return nil }

func TestTasks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		cancelled bool
		tasks     []func(context.Context) error
		want      string // part of the error; empty: none
	}{
		"no tasks end at once": {},
		"the first error ends the others and is returned": {
			tasks: []func(context.Context) error{
				untilDone,
				func(context.Context) error { return errBroken },
				func(ctx context.Context) error { <-ctx.Done(); return errors.New("later") },
			},
			want: "broken",
		},
		"a panic becomes an error with its stack": {
			tasks: []func(context.Context) error{untilDone, func(context.Context) error { panic("boom") }},
			want:  "panic: boom\n",
		},
		"a task that returns nil leaves the others running": {
			tasks: []func(context.Context) error{
				func(context.Context) error { return nil },
				func(ctx context.Context) error {
					if ctx.Err() != nil {
						return errors.New("cancelled by a task that succeeded")
					}
					return nil
				},
			},
		},
		"ending because the context is done is no failure": {
			cancelled: true,
			tasks:     []func(context.Context) error{untilDone, func(ctx context.Context) error { return ctx.Err() }},
		},
		"a failure while ending is a failure": {
			cancelled: true,
			tasks:     []func(context.Context) error{func(context.Context) error { return errBroken }},
			want:      "broken",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.cancelled {
				cancel()
			}
			err := run.Tasks(ctx, tc.tasks...)
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("got error %v, want none", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Fatalf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestTasksKeepsTheCause(t *testing.T) {
	t.Parallel()
	err := run.Tasks(t.Context(), func(context.Context) error { return errBroken })
	if !errors.Is(err, errBroken) {
		t.Fatalf("got %v, want %v", err, errBroken)
	}
}
