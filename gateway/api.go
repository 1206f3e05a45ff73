package gateway

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/tlsfile"
)

// healthInterval is how often gRPC health is brought up to date with readiness.
const healthInterval = time.Second

// api is the gate's gRPC server: its own API, health and reflection.
type api struct {
	listener net.Listener // nil: there is none
	server   *grpc.Server
	health   *health.Server
	files    *tlsfile.Server // nil: plain text
}

func newAPI(ctx context.Context, gate *Gate, opts Options) (*api, error) {
	cfg := gate.cfg.GRPC
	if cfg == nil {
		return &api{}, nil
	}
	a := &api{health: health.NewServer()}
	var options []grpc.ServerOption
	if cfg.TLS != nil {
		own := *cfg
		own.ALPN = []string{"h2"} // gRPC speaks nothing else
		var err error
		if a.files, err = listenTLS(&own, opts.Telemetry); err != nil {
			return nil, fmt.Errorf("grpc: %w", err)
		}
		options = append(options, grpc.Creds(credentials.NewTLS(a.files.Config())))
	}
	a.server = sdk.NewServer(sdk.Config{Name: "gatefold-gateway", Telemetry: opts.Telemetry}, options...)
	gatewayv1.RegisterGateServiceServer(a.server, gate)
	grpc_health_v1.RegisterHealthServer(a.server, a.health)
	reflection.Register(a.server)
	var err error
	a.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Address)
	return a, err
}

// serve answers until ctx is done; calls under way are finished.
func (a *api) serve(ctx context.Context, ready []admin.Check) error {
	if a.listener == nil {
		return nil
	}
	tasks := []func(context.Context) error{
		func(ctx context.Context) error { return a.follow(ctx, ready) },
		func(ctx context.Context) error {
			defer context.AfterFunc(ctx, func() {
				a.health.Shutdown()
				defer time.AfterFunc(sdk.DefaultDrainTimeout, a.server.Stop).Stop()
				a.server.GracefulStop()
			})()
			return a.server.Serve(a.listener)
		},
	}
	if a.files != nil {
		tasks = append(tasks, a.files.Run)
	}
	return run.Tasks(ctx, tasks...)
}

// follow tells gRPC health what /readyz says.
func (a *api) follow(ctx context.Context, ready []admin.Check) error {
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		status := grpc_health_v1.HealthCheckResponse_SERVING
		for _, check := range ready {
			if check.Check(ctx) != nil {
				status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
			}
		}
		a.health.SetServingStatus("", status)
		a.health.SetServingStatus(gatewayv1.GateService_ServiceDesc.ServiceName, status)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
