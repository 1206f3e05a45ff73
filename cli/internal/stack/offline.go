package stack

import (
	"context"
	"fmt"

	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// WithGate runs the services and a gate of cfg in this process, without any network, calls use with the
// gate, and stops everything again.
func WithGate(ctx context.Context, cfg *Config, c *cluster.Cluster, tel *telemetry.Telemetry, use func(context.Context, *gateway.Gate) error) error {
	services := NewServices(cfg, Options{Cluster: c, Mutator: tel, Validator: tel, Away: cfg.Offline()})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return run.Tasks(ctx, services.Run, func(ctx context.Context) error {
		defer stop()
		if err := services.WaitReady(ctx); err != nil {
			return err
		}
		gate, err := gateway.New(ctx, gateway.Options{Config: cfg.Gateway, Cluster: c, Telemetry: tel, DialInproc: services.Dial})
		if err != nil {
			return fmt.Errorf("starting the gate: %w", err)
		}
		defer gate.Close()
		return use(ctx, gate)
	})
}
