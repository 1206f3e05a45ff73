// Package admin is the port for operators and kubelet: liveness, readiness, metrics and version.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// shutdownTimeout bounds the wait for a last scrape or probe.
	shutdownTimeout = 2 * time.Second
	// headerTimeout is how long a client may take to send its request headers.
	headerTimeout = 5 * time.Second
	// checkTimeout bounds one check, so that a probe gets an answer before kubelet gives up on it.
	checkTimeout = 900 * time.Millisecond
)

// Check is one thing that must hold. It is called for each probe, so it must be cheap.
type Check struct {
	// Name is shown by ?verbose; unique among the checks of an endpoint.
	Name string
	// Check returns nil, or what is wrong. It must be safe for concurrent use.
	Check func(context.Context) error
}

// Config says what the admin server serves.
type Config struct {
	// Address to listen on, host:port. Empty, with no Listener: there is no admin server.
	Address string
	// Listener is used instead of Address when set; the server closes it.
	Listener net.Listener
	// Metrics serves /metrics; nil: not found.
	Metrics http.Handler
	// Live must pass for /livez, Ready for /readyz.
	Live, Ready []Check
	// Version is shown by /version; empty: the version of the main module.
	Version string
	// Drained keeps the server up after ctx is done, with /readyz failing, until it is closed: probes
	// and scrapes can then watch the drain. Nil: the server stops as soon as ctx is done.
	Drained <-chan struct{}
	// Logger receives the HTTP server's complaints; nil: they are dropped.
	Logger *slog.Logger
}

// Serve answers /livez, /readyz, /metrics and /version until ctx is done. With neither Address nor
// Listener it returns nil at once.
func Serve(ctx context.Context, cfg Config) error {
	listener, err := cfg.listen(ctx)
	if listener == nil || err != nil {
		return err
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	server := &http.Server{
		Handler:           cfg.handler(ctx),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	logger.InfoContext(ctx, "admin server listening", "address", listener.Addr().String())

	select {
	case err := <-failed:
		return fmt.Errorf("admin server: %w", err)
	case <-ctx.Done():
	}
	if cfg.Drained != nil {
		select {
		case err := <-failed:
			return fmt.Errorf("admin server: %w", err)
		case <-cfg.Drained:
		}
	}
	return stop(ctx, server)
}

func stop(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fmt.Errorf("stopping the admin server: %w", errors.Join(err, server.Close()))
	}
	return nil
}

func (cfg *Config) listen(ctx context.Context) (net.Listener, error) {
	if cfg.Listener != nil || cfg.Address == "" {
		return cfg.Listener, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("admin server: %w", err)
	}
	return listener, nil
}
