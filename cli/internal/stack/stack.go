package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// bufferSize is that of the in-memory connections, per direction; larger messages go through in turns.
const bufferSize = 1 << 20

// Services are the mutators and validators of one configuration file.
type Services struct {
	cfg       *Config
	options   Options
	mutator   *bufconn.Listener // nil when the file has no MutatorConfig
	validator *bufconn.Listener // nil when the file has no ValidatorConfig
	absent    *bufconn.Listener
}

// Options is what the services need beside the configuration.
type Options struct {
	// Cluster is where ServiceAccounts are looked up.
	Cluster *cluster.Cluster
	// Mutator and Validator are the telemetry of the two services.
	Mutator, Validator *telemetry.Telemetry
	// Reload lets the services follow changes of the configuration file.
	Reload bool

	away map[away]string // set by WithGate
}

// NewServices returns services that answer once they are run.
func NewServices(cfg *Config, options Options) *Services {
	s := &Services{cfg: cfg, options: options, absent: bufconn.Listen(bufferSize)}
	if cfg.Mutator != nil {
		s.mutator = bufconn.Listen(bufferSize)
	}
	if cfg.Validator != nil {
		s.validator = bufconn.Listen(bufferSize)
	}
	return s
}

// Run runs the services until ctx is done and they are drained.
func (s *Services) Run(ctx context.Context) error {
	return run.Tasks(ctx, s.runMutator, s.runValidator, s.runAbsent)
}

func (s *Services) runMutator(ctx context.Context) error {
	if s.mutator == nil {
		return nil
	}
	options := mutatorsvc.Options{Config: s.cfg.Mutator, Cluster: s.options.Cluster, Listener: s.mutator, Telemetry: s.options.Mutator}
	if s.options.Reload {
		options.ConfigFile, options.Config = s.cfg.File, nil
	}
	return mutatorsvc.Run(ctx, options)
}

func (s *Services) runValidator(ctx context.Context) error {
	if s.validator == nil {
		return nil
	}
	options := validatorsvc.Options{Config: s.cfg.Validator, Cluster: s.options.Cluster, Listener: s.validator, Telemetry: s.options.Validator}
	if s.options.Reload {
		options.ConfigFile, options.Config = s.cfg.File, nil
	}
	return validatorsvc.Run(ctx, options)
}

func (s *Services) runAbsent(ctx context.Context) error {
	server := grpc.NewServer()
	a := &absent{endpoints: s.options.away, cfg: s.cfg}
	admissionv1.RegisterMutatorServiceServer(server, a)
	admissionv1.RegisterValidatorServiceServer(server, a)
	// The gate's client side watches health, and gRPC complains of servers that do not have it.
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	defer context.AfterFunc(ctx, server.Stop)()
	// ErrServerStopped: ctx was done before Serve began.
	if err := server.Serve(s.absent); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving for absent backends: %w", err)
	}
	return nil
}

// Dial connects the gate to the service that answers for a backend.
func (s *Services) Dial(ctx context.Context, backend gateway.Backend) (net.Conn, error) {
	listener := s.mutator
	if backend.Type == gateway.Validator {
		listener = s.validator
	}
	if _, isAway := s.options.away[away{backend.Type, backend.Handler}]; isAway || listener == nil {
		listener = s.absent
	}
	return listener.DialContext(ctx)
}

// WaitReady returns once every service says that it can answer. A gate that asked earlier would take a
// service that is still starting for one that is down.
func (s *Services) WaitReady(ctx context.Context) error {
	for name, listener := range map[string]*bufconn.Listener{"mutator": s.mutator, "validator": s.validator} {
		if listener == nil {
			continue
		}
		if err := waitServing(ctx, listener); err != nil {
			return fmt.Errorf("waiting for the %s: %w", name, err)
		}
	}
	return nil
}

func waitServing(ctx context.Context, listener *bufconn.Listener) error {
	conn, err := grpc.NewClient("passthrough:///inproc",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	const interval = 2 * time.Millisecond
	for {
		answer, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		if answer.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}
