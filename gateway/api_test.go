package gateway

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
)

// TestAPIStoppedBeforeItServes: a gate that is told to stop while it starts has not failed.
func TestAPIStoppedBeforeItServes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &api{listener: listener, server: grpc.NewServer(), health: health.NewServer()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.server.Stop() // as the drain does, when it comes first
	if err := a.serve(ctx, func() time.Duration { return 0 }, nil); err != nil {
		t.Errorf("ended with %v", err)
	}
}
