package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/tlsfile"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
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
	a.server = sdk.NewServer(sdk.Config{Name: Name, Telemetry: opts.Telemetry}, options...)
	gatewayv1.RegisterGateServiceServer(a.server, checked{gate})
	grpc_health_v1.RegisterHealthServer(a.server, a.health)
	reflection.Register(a.server)
	var err error
	a.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Address)
	return a, err
}

// close frees the address of a server that never served; of another it is free already.
func (a *api) close() {
	if a.listener != nil {
		_ = a.listener.Close()
	}
}

// serve answers until ctx is done, drains as the HTTPS server does, and finishes the calls under way.
func (a *api) serve(ctx context.Context, drainFor func() time.Duration, ready []admin.Check) error {
	if a.listener == nil {
		return nil
	}
	stop := func() {
		a.health.Shutdown()
		time.Sleep(drainFor())
		defer time.AfterFunc(sdk.DefaultDrainTimeout, a.server.Stop).Stop()
		a.server.GracefulStop()
	}
	tasks := []func(context.Context) error{
		func(ctx context.Context) error { return a.follow(ctx, ready) },
		func(ctx context.Context) error {
			defer context.AfterFunc(ctx, stop)()
			// ErrServerStopped: ctx was done before Serve began.
			if err := a.server.Serve(a.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				return fmt.Errorf("serving gRPC: %w", err)
			}
			return nil
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

// checked is the gate for callers that are not its own HTTPS face, which has read the objects as part of a
// review: here they must be shown to be JSON.
type checked struct{ *Gate }

// Mutate is Gate.Mutate.
func (c checked) Mutate(ctx context.Context, in *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error) {
	if err := checkObjects(in.GetRequest()); err != nil {
		return nil, err
	}
	return c.Gate.Mutate(ctx, in)
}

// Validate is Gate.Validate.
func (c checked) Validate(ctx context.Context, in *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
	if err := checkObjects(in.GetRequest()); err != nil {
		return nil, err
	}
	return c.Gate.Validate(ctx, in)
}

func checkObjects(req *admissionv1.AdmissionRequest) error {
	for what, data := range map[string][]byte{"object": req.GetObject(), "old_object": req.GetOldObject(), "options": req.GetOptions()} {
		valid := jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if len(data) > 0 && (!valid || jsontext.Value(data).Kind() != '{') {
			return outcome.New(outcome.BadReview, fmt.Errorf("%s is not a JSON object", what))
		}
	}
	return nil
}
