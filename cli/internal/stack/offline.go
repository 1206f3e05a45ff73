package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/gateway"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// Offline is a gate and its services without any network.
type Offline struct {
	// Config is the configuration. Its backends all become ones of this process, wherever they are in
	// production; those that it does not serve fail, and their failure policy decides.
	Config *Config
	// Cluster is where namespaces and ServiceAccounts are looked up.
	Cluster *cluster.Cluster
	// Telemetry is that of all.
	Telemetry *telemetry.Telemetry
	// OnDecision is the gate's; see gateway.Options.
	OnDecision func(context.Context, *admissionv1.AdmissionRequest, *gatewayv1.Decision)
	// OnShadow is the gate's; see gateway.Options.
	OnShadow func(context.Context, *admissionv1.AdmissionRequest, *gatewayv1.Step)
}

// Run starts everything, calls use with the gate, and stops everything again.
func (o Offline) Run(ctx context.Context, use func(context.Context, *gateway.Gate) error) error {
	services := NewServices(o.Config, Options{
		Cluster: o.Cluster, Mutator: o.Telemetry, Validator: o.Telemetry, away: o.Config.offline(),
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return run.Tasks(ctx, services.Run, func(ctx context.Context) error {
		defer stop()
		if err := services.WaitReady(ctx); err != nil {
			return err
		}
		gate, err := gateway.New(ctx, gateway.Options{
			Config: o.Config.Gateway, Cluster: o.Cluster, Telemetry: o.Telemetry, DialInproc: services.Dial,
			OnDecision: o.OnDecision, OnShadow: o.OnShadow,
		})
		if err != nil {
			return exit.UsageError(fmt.Errorf("%s: %w", o.Config.File, err)) // a selector or an expression that does not compile
		}
		return errors.Join(use(ctx, gate), gate.Close())
	})
}
