package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gatefold/gatefold/sdk/admin"
	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/reload"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"

	"github.com/gatefold/gatefold/gateway/internal/webhook"
)

// Run serves a gate until ctx is done, and drains it then. It returns nil after a drain, and an error when
// the gate could not be started or could not go on.
func Run(ctx context.Context, opts Options) (err error) {
	for _, given := range []net.Listener{opts.Listener, opts.AdminListener} {
		if given != nil {
			defer func() { _ = given.Close() }() // closed already where it was served
		}
	}
	if opts.Telemetry == nil {
		opts.Telemetry, err = telemetry.New(ctx, telemetry.Config{Service: Name, Version: opts.Version})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, opts.Telemetry.Shutdown(ctx)) }()
	}
	follower, err := reload.New(opts.ConfigFile, opts.Telemetry)
	if err != nil {
		return err
	}
	defer follower.Close()
	gate, err := New(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	handler, err := webhook.New(ctx, webhook.Config{
		Gate:          gate,
		ReviewBytes:   gate.cfg.Limits.ReviewBytes,
		InFlightBytes: gate.cfg.Limits.InFlightBytes,
		Tracer:        gate.pipeline.Tracer,
		Propagator:    opts.Telemetry.Propagator,
		Recorder:      gate.recorder,
		Logger:        opts.Telemetry.Logger,
	})
	if err != nil {
		return err
	}
	front, err := newServer(ctx, handler, gate.cfg, opts)
	if err != nil {
		return err
	}
	defer front.close()
	api, err := newAPI(ctx, gate, opts)
	if err != nil {
		return err
	}
	defer api.close()
	ready := []admin.Check{
		{Name: "cluster", Check: gate.cluster.Ready},
		{Name: "self-test", Check: selfTest{handler}.check},
	}
	return run.Tasks(ctx,
		gate.cluster.Run,
		front.files,
		func(ctx context.Context) error { return follower.Run(ctx, gate.reload(opts.ConfigFile)) },
		func(ctx context.Context) error {
			return admin.Serve(ctx, admin.Config{
				Address: gate.cfg.Admin.Address, Listener: opts.AdminListener, Metrics: opts.Telemetry.Metrics,
				Ready: ready, Version: opts.Version, Drained: front.drained, Logger: opts.Telemetry.Logger,
			})
		},
		func(tasks context.Context) error { return api.serve(tasks, drainFor(ctx, gate.cfg), ready) },
		func(tasks context.Context) error { return front.serve(tasks, drainFor(ctx, gate.cfg)) },
	)
}

// drainFor returns how long to go on answering when a task is to end: the drain time when ctx says that the
// gate is to stop, and no time when it is another task that failed, which would only hide why.
func drainFor(ctx context.Context, cfg *Config) func() time.Duration {
	return func() time.Duration {
		if ctx.Err() == nil {
			return 0
		}
		return cfg.Drain()
	}
}

// serverTLS returns the front's TLS, and the task that follows its files.
func serverTLS(cfg *Config, opts Options) (*tls.Config, func(context.Context) error, error) {
	if opts.TLS != nil {
		return opts.TLS, func(context.Context) error { return nil }, nil
	}
	if cfg.Listen.TLS == nil {
		return nil, nil, fmt.Errorf("%w: listen.tls is missing: kube-apiserver calls webhooks over HTTPS only; set certFile and keyFile", sdkconfig.ErrUnusable)
	}
	files, err := listenTLS(&cfg.Listen, opts.Telemetry)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	return files.Config(), files.Run, nil
}

// listenTLS reads the files of a listen section that has its tls.
func listenTLS(l *sdkconfig.Listen, tel *telemetry.Telemetry) (*tlsfile.Server, error) {
	files := tlsfile.ServerConfig{CertFile: l.TLS.CertFile, KeyFile: l.TLS.KeyFile, ALPN: l.ALPN, Logger: tel.Logger}
	if l.ClientAuth.Mode != sdkconfig.None {
		files.ClientCAFile, files.Subjects = l.ClientAuth.CAFile, l.ClientAuth.Subjects
	}
	return tlsfile.NewServer(files)
}

// reload returns how the gate takes up its file. Backends change at once; where the gate listens and what its
// limits are, it keeps until it is started again.
func (g *Gate) reload(file string) reload.Apply {
	return func(context.Context, func(...string)) (restart string, err error) {
		cfg, err := LoadConfig(file)
		if err != nil {
			return "", err
		}
		if err := g.apply(cfg); err != nil {
			return "", err
		}
		if g.cfg.NeedsRestart(cfg) {
			restart = "listen, grpc, admin, limits or drainSeconds"
		}
		return restart, nil
	}
}
