// Package tlsfile makes TLS configurations from files and follows the files when they change, so that a
// certificate or an authority is replaced without a restart.
//
// Files are looked at every few seconds and compared by content. That sees every way in which they are
// replaced (in place, by rename, by the symlink swap of a mounted Secret), needs no inotify watch, and
// takes certificate, key and authority as one: a half-written set does not parse and is passed over.
package tlsfile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often files are looked at when a Config does not say.
const DefaultInterval = 5 * time.Second

// reloader holds the last good TLS configuration made from files.
type reloader struct {
	files    []string
	build    func(contents [][]byte) (*tls.Config, error)
	interval time.Duration
	logger   *slog.Logger

	seen    [][]byte // what was read last, good or bad; only touched by newReloader and run
	current atomic.Pointer[tls.Config]
}

// newReloader reads the files once. An empty file name stands for a file that is not used: its contents
// are nil.
func newReloader(
	files []string, interval time.Duration, logger *slog.Logger, build func([][]byte) (*tls.Config, error),
) (*reloader, error) {
	r := &reloader{files: files, build: build, interval: interval, logger: logger}
	if r.interval == 0 {
		r.interval = DefaultInterval
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if _, err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// run looks at the files until ctx is done. What cannot be used is logged once, and the last good
// configuration stays.
func (r *reloader) run(ctx context.Context) error {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	var complained string
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		changed, err := r.load()
		switch {
		case err != nil && err.Error() != complained:
			complained = err.Error()
			r.logger.ErrorContext(ctx, "cannot use the changed TLS files, keeping the last good ones", "error", err)
		case err == nil && changed:
			complained = ""
			r.logger.InfoContext(ctx, "TLS files reloaded", "files", r.files)
		}
	}
}

func (r *reloader) load() (changed bool, err error) {
	contents := make([][]byte, len(r.files))
	for i, file := range r.files {
		if file == "" {
			continue
		}
		if contents[i], err = os.ReadFile(file); err != nil {
			return false, fmt.Errorf("reading TLS file: %w", err)
		}
	}
	if r.seen != nil && slices.EqualFunc(contents, r.seen, bytes.Equal) {
		return false, nil
	}
	config, err := r.build(contents)
	if err != nil {
		return false, fmt.Errorf("%w (files %q)", err, r.files)
	}
	r.seen = contents
	r.current.Store(config)
	return true, nil
}

// base is what every configuration has in common. Tickets are off so that a resumed session cannot outlive
// the authority that let it in.
func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
}

func keyPair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate and key: %w", err)
	}
	return pair, nil
}

func pool(pem []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, errors.New("authority file holds no PEM certificate")
	}
	return p, nil
}
