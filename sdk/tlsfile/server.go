package tlsfile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ServerConfig names the files of a server.
type ServerConfig struct {
	// CertFile and KeyFile are the server's certificate, with intermediates, and its key, in PEM.
	CertFile, KeyFile string
	// ClientCAFile holds the authorities of clients, in PEM; every client must then present a
	// certificate of one. Empty: clients are not asked.
	ClientCAFile string
	// Subjects are the common names or subject alternative names of which a client's certificate must
	// have one. Empty: any certificate of ClientCAFile will do.
	Subjects []string
	// ALPN is what the server offers, in order of preference. Empty: h2 and http/1.1.
	ALPN []string
	// Interval is how often the files are looked at; 0 means DefaultInterval.
	Interval time.Duration
	// Logger says what was reloaded and what could not be; nil: nobody is told.
	Logger *slog.Logger
}

// Server is the TLS of a server that follows its files while Run runs.
type Server struct{ files *reloader }

// NewServer reads the files, and fails when they cannot be used.
func NewServer(cfg ServerConfig) (*Server, error) {
	if len(cfg.Subjects) > 0 && cfg.ClientCAFile == "" {
		return nil, errors.New("server TLS: subjects without a client authority would check nothing")
	}
	if len(cfg.ALPN) == 0 {
		cfg.ALPN = []string{"h2", "http/1.1"}
	}
	files, err := newReloader([]string{cfg.CertFile, cfg.KeyFile, cfg.ClientCAFile}, cfg.Interval, cfg.Logger, cfg.build)
	if err != nil {
		return nil, fmt.Errorf("server TLS: %w", err)
	}
	return &Server{files: files}, nil
}

// Config returns a configuration that takes, for each handshake, what the files held last. The caller may
// change it.
func (s *Server) Config() *tls.Config {
	config := s.files.current.Load().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.files.current.Load(), nil }
	return config
}

// Run follows the files until ctx is done, and returns nil. Connections that are open keep the certificate
// they were made with.
func (s *Server) Run(ctx context.Context) error { return s.files.run(ctx) }

func (cfg ServerConfig) build(contents [][]byte) (*tls.Config, error) {
	pair, err := keyPair(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	config := base()
	config.Certificates = []tls.Certificate{pair}
	config.NextProtos = cfg.ALPN
	if cfg.ClientCAFile == "" {
		return config, nil
	}
	if config.ClientCAs, err = pool(contents[2]); err != nil {
		return nil, err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if len(cfg.Subjects) > 0 {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			err := allowed(state.PeerCertificates[0], cfg.Subjects)
			if err != nil && cfg.Logger != nil {
				// gRPC drops the errors of handshakes, and the client only sees an alert.
				cfg.Logger.Warn("refused a client", "error", err)
			}
			return err
		}
	}
	return config, nil
}

// allowed refuses a client whose certificate has none of the subjects.
func allowed(client *x509.Certificate, subjects []string) error {
	names := slices.Concat([]string{client.Subject.CommonName}, client.DNSNames, client.EmailAddresses)
	for _, uri := range client.URIs {
		names = append(names, uri.String())
	}
	for _, ip := range client.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if name != "" && slices.Contains(subjects, name) {
			return nil
		}
	}
	return fmt.Errorf("client certificate %q is not among the subjects let in", names)
}
