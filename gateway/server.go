package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	sdkconfig "github.com/gatefold/gatefold/sdk/config"
)

const (
	// idleTimeout is twice what kube-apiserver keeps an idle connection (90 s, net/http's default
	// transport), so that it is always the client that closes first: a request that meets a closing
	// connection fails, and is not retried.
	idleTimeout = 180 * time.Second
	// headerTimeout and readTimeout bound a slow sender.
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	// shutdownTimeout bounds the wait for reviews under way after the drain; no review is longer.
	shutdownTimeout = 30 * time.Second
)

// server is the HTTPS server in front of the gate.
type server struct {
	http     *http.Server
	listener net.Listener
	files    func(context.Context) error // follows the certificates
	logger   *slog.Logger
	draining atomic.Bool
	drained  chan struct{} // closed when no more answers are given
}

// newServer listens, and does not answer yet. The caller closes the server.
func newServer(ctx context.Context, handler http.Handler, cfg *Config, opts Options) (*server, error) {
	certificates, files, err := serverTLS(cfg, opts)
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, opts.Listener, cfg.Listen.Address)
	if err != nil {
		return nil, err
	}
	s := &server{listener: listener, files: files, logger: opts.Telemetry.Logger, drained: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.leaveTaking(handler),
		TLSConfig:         certificates,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// close frees the address of a server that never served; of another it is free already.
func (s *server) close() { _ = s.listener.Close() }

// leaveTaking asks clients of a draining server to open their next connection elsewhere. In HTTP/1.1 that
// is the header; in HTTP/2 net/http makes a GOAWAY of it. Closing idle connections instead, as Shutdown
// does, fails the requests that are just being sent on them.
func (s *server) leaveTaking(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// serve answers until ctx is done, then drains: it goes on answering for as long as drainFor says, in which
// time its address leaves the endpoints and its clients leave it, and only then stops.
func (s *server) serve(ctx context.Context, drainFor func() time.Duration) error {
	defer close(s.drained)
	failed := make(chan error, 1)
	go func() { failed <- s.http.ServeTLS(s.listener, "", "") }()
	s.logger.InfoContext(ctx, "listening for reviews", "address", s.listener.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serving reviews: %w", err)
	case <-ctx.Done():
	}
	drain := drainFor()
	s.logger.InfoContext(ctx, "draining", "for", drain.String())
	s.draining.Store(true)
	// Not cut short when no connection is open: the next client may be on its way with the old address.
	time.Sleep(drain)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.logger.InfoContext(ctx, "drained")
	return err
}

// listen returns given, or listens at address.
func listen(ctx context.Context, given net.Listener, address string) (net.Listener, error) {
	if given != nil {
		return given, nil
	}
	if address == "" {
		return nil, fmt.Errorf("%w: listen.address is missing: say where kube-apiserver finds the gate, such as 0.0.0.0:8443", sdkconfig.ErrUnusable)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}
