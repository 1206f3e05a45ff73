package stack_test

import (
	"context"
	"testing"

	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/gateway"
)

// TestStoppedAtOnce: services that are told to stop while they start have not failed. Whether they serve before that
// is chance.
func TestStoppedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 500 {
		if err := stack.NewServices(&stack.Config{Gateway: &gateway.Config{}}, stack.Options{}).Run(ctx); err != nil {
			t.Fatalf("ended with %v", err)
		}
	}
}
