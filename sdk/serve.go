package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"
)

// Serve runs a service until ctx is done, then drains it: health and readiness say no, calls in flight are
// finished within the drain timeout, and what is left is cut off. It returns nil after a drain, and an
// error when the service could not be started or could not go on.
//
// The service is ready, for /readyz and for gRPC health alike, once every check of cfg.Ready passes and
// every handler has answered the self-test.
func Serve(ctx context.Context, cfg Config) (err error) {
	if err := cfg.validate(); err != nil {
		return fmt.Errorf("service %q: %w: %w", cfg.Name, config.ErrUnusable, err)
	}
	if cfg.Telemetry == nil {
		cfg.Telemetry, err = telemetry.New(ctx, telemetry.Config{Service: cfg.Name})
		if err != nil {
			return fmt.Errorf("service %q: %w", cfg.Name, err)
		}
		defer func() { err = errors.Join(err, cfg.Telemetry.Shutdown(ctx)) }()
	}
	s, err := newService(ctx, cfg)
	if err != nil {
		if cfg.Listener != nil {
			err = errors.Join(err, cfg.Listener.Close())
		}
		return fmt.Errorf("service %q: %w", cfg.Name, err)
	}
	if err := run.Tasks(ctx, s.followFiles, s.serveAdmin, s.readiness.watch, s.serve); err != nil {
		return fmt.Errorf("service %q: %w", cfg.Name, err)
	}
	return nil
}

// service is one run of Serve.
type service struct {
	cfg       Config
	tls       *tlsfile.Server // nil: plain text
	listener  net.Listener
	grpc      *grpc.Server
	health    *health.Server
	readiness *readiness
	drained   chan struct{} // closed when the last call has been answered or cut off
}

func newService(ctx context.Context, cfg Config) (_ *service, err error) {
	s := &service{cfg: cfg, listener: cfg.Listener, health: health.NewServer(), drained: make(chan struct{})}
	s.readiness = newReadiness(cfg, s.health)
	var options []grpc.ServerOption
	if cfg.Listen.TLS != nil {
		if s.tls, err = serverTLS(cfg); err != nil {
			return nil, err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(s.tls.Config())))
	}
	if s.listener == nil {
		if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen.Address); err != nil {
			return nil, err
		}
	}
	s.grpc = NewServer(cfg, options...)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s, nil
}

func serverTLS(cfg Config) (*tlsfile.Server, error) {
	listen := cfg.Listen
	files := tlsfile.ServerConfig{
		CertFile: listen.TLS.CertFile,
		KeyFile:  listen.TLS.KeyFile,
		ALPN:     []string{"h2"}, // gRPC speaks nothing else
		Logger:   cfg.Telemetry.Logger,
	}
	if listen.ClientAuth.Mode != config.None {
		files.ClientCAFile, files.Subjects = listen.ClientAuth.CAFile, listen.ClientAuth.Subjects
	}
	return tlsfile.NewServer(files)
}

func (s *service) followFiles(ctx context.Context) error {
	if s.tls == nil {
		return nil
	}
	return s.tls.Run(ctx)
}

func (s *service) serveAdmin(ctx context.Context) error {
	return admin.Serve(ctx, admin.Config{
		Address: s.cfg.Admin.Address,
		Metrics: s.cfg.Telemetry.Metrics,
		Ready:   s.readiness.checks(),
		Drained: s.drained,
		Logger:  s.cfg.Telemetry.Logger,
	})
}

// serve answers calls until ctx is done and the drain is over.
func (s *service) serve(ctx context.Context) error {
	defer close(s.drained)
	defer s.grpc.Stop() // what is still open after an error
	defer context.AfterFunc(ctx, s.drain)()

	logger := s.cfg.Telemetry.Logger
	logger.InfoContext(ctx, "listening", "address", s.listener.Addr().String(), "tls", s.tls != nil)
	// ErrServerStopped: ctx was done before Serve began.
	if err := s.grpc.Serve(s.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving gRPC: %w", err)
	}
	logger.InfoContext(ctx, "drained")
	return nil
}

// drain lets calls in flight finish. GracefulStop has no timeout of its own, and one stream that is never
// closed would hold it up for ever.
func (s *service) drain() {
	timeout := s.cfg.DrainTimeout
	if timeout == 0 {
		timeout = DefaultDrainTimeout
	}
	s.health.Shutdown()
	defer time.AfterFunc(timeout, s.grpc.Stop).Stop()
	s.grpc.GracefulStop()
}
