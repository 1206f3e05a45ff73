package tlsfile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// ClientConfig names the files of a client.
type ClientConfig struct {
	// CAFile holds the authorities of servers, in PEM. Empty: CA, and where that is empty too, those of the
	// system.
	CAFile string
	// CA are the authorities of servers, in PEM, where no file holds them.
	CA []byte
	// CertFile and KeyFile are the client's own certificate; both or neither.
	CertFile, KeyFile string
	// ServerName is the name the server's certificate must be for. Empty: the host that is dialled.
	ServerName string
	// Interval is how often the files are looked at; 0 means DefaultInterval.
	Interval time.Duration
	// Logger says what was reloaded and what could not be; nil: nobody is told.
	Logger *slog.Logger
}

// Client is the TLS of a client that follows its files while Run runs.
type Client struct{ files *reloader }

// NewClient reads the files, and fails when they cannot be used.
func NewClient(cfg ClientConfig) (*Client, error) {
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("client TLS: certificate and key go together")
	}
	files, err := newReloader([]string{cfg.CAFile, cfg.CertFile, cfg.KeyFile}, cfg.Interval, cfg.Logger, cfg.build)
	if err != nil {
		return nil, fmt.Errorf("client TLS: %w", err)
	}
	return &Client{files: files}, nil
}

// Config returns what the files held last, for one connection: a tls.Config of a client cannot follow its
// authorities. For connections over time take Credentials or DialTLS.
func (c *Client) Config() *tls.Config { return c.files.current.Load().Clone() }

// Credentials returns gRPC credentials that take, for each handshake, what the files held last.
func (c *Client) Credentials() credentials.TransportCredentials {
	return &followed{client: c}
}

// DialTLS connects with what the files held last, offering protocols by ALPN; it fits the DialTLSContext
// of http.Transport.
func (c *Client) DialTLS(ctx context.Context, network, address string, protocols ...string) (net.Conn, error) {
	config := c.Config()
	config.NextProtos = protocols
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

// Run follows the files until ctx is done, and returns nil. Connections that are open keep the
// certificates they were made with.
func (c *Client) Run(ctx context.Context) error { return c.files.run(ctx) }

func (cfg ClientConfig) build(contents [][]byte) (_ *tls.Config, err error) {
	config := base()
	config.ServerName = cfg.ServerName
	authorities := cfg.CA
	if cfg.CAFile != "" {
		authorities = contents[0]
	}
	if len(authorities) > 0 {
		if config.RootCAs, err = pool(authorities); err != nil {
			return nil, err
		}
	}
	if cfg.CertFile != "" {
		pair, err := keyPair(contents[1], contents[2])
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// followed is gRPC's own TLS, made anew for each handshake. It has no state, so clones share it.
type followed struct{ client *Client }

func (f *followed) now() credentials.TransportCredentials {
	return credentials.NewTLS(f.client.Config())
}

func (f *followed) ClientHandshake(
	ctx context.Context, authority string, conn net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	return f.now().ClientHandshake(ctx, authority, conn)
}

func (f *followed) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these are a client's credentials")
}

func (f *followed) Info() credentials.ProtocolInfo          { return f.now().Info() }
func (f *followed) Clone() credentials.TransportCredentials { return f }
func (f *followed) OverrideServerName(string) error {
	return errors.New("set ServerName in ClientConfig")
}
