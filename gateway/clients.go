package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"

	"github.com/gatefold/gatefold/sdk/cluster"
	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"

	"github.com/gatefold/gatefold/gateway/internal/backend"
	"github.com/gatefold/gatefold/gateway/internal/config"
	"github.com/gatefold/gatefold/gateway/internal/resolve"
)

// lingering is how long a client that a new configuration no longer names is kept for the reviews that
// are under way: no review lasts longer than kube-apiserver waits, thirty seconds, and no shadow after it.
const lingering = 65 * time.Second

// clients are the connections to the backends of the configuration in force. Those that a new configuration
// still wants are kept. It is safe for concurrent use.
type clients struct {
	dialInproc func(context.Context, Backend) (net.Conn, error)
	telemetry  *telemetry.Telemetry
	cluster    *cluster.Cluster
	resolvers  []resolver.Builder

	mu        sync.Mutex
	byKey     map[endpoint]*client
	inForce   map[endpoint]bool       // those that were connected last
	lingering map[*client]*time.Timer // closes each of them
}

// endpoint is everything that a connection depends on.
type endpoint struct {
	backendType, target, handler string // the latter two matter to DialInproc
	tls                          sdkconfig.ClientTLS
	waitForReady                 bool
	webhook                      webhookEndpoint
}

// client is a connection, and the goroutine that follows its certificates.
type client struct {
	asker
	stop func()
}

// asker is what asks a backend, whatever it speaks.
type asker interface {
	backend.Asker
	io.Closer
}

func newClients(dialInproc func(context.Context, Backend) (net.Conn, error), tel *telemetry.Telemetry, state *cluster.Cluster) *clients {
	resolvers := []resolver.Builder{resolve.DNS(resolve.DNSConfig{Logger: tel.Logger})}
	if state.Client != nil {
		resolvers = append(resolvers, resolve.EndpointSlices(state.Client, tel.Logger))
	}
	return &clients{
		dialInproc: dialInproc,
		telemetry:  tel,
		cluster:    state,
		resolvers:  resolvers,
		byKey:      map[endpoint]*client{},
		lingering:  map[*client]*time.Timer{},
	}
}

// connect returns a client for each backend, and retires those that none of them uses. Nothing has changed
// when there is an error.
func (c *clients) connect(backends []Backend) ([]*client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := map[endpoint]bool{}
	connections := make([]*client, len(backends))
	for i := range backends {
		connection, err := c.client(&backends[i], used)
		if err != nil {
			c.retire(c.inForce)
			return nil, fmt.Errorf("backend %q: %w", backends[i].Name, err)
		}
		connections[i] = connection
	}
	c.inForce = used
	c.retire(used)
	return connections, nil
}

// client returns the connection for spec, the one there is where nothing about it has changed.
func (c *clients) client(spec *Backend, used map[endpoint]bool) (*client, error) {
	key := endpoint{backendType: spec.Type, target: spec.Endpoint, waitForReady: spec.Required()}
	inproc := strings.HasPrefix(spec.Endpoint, "inproc://")
	switch {
	case inproc:
		key.handler = spec.Handler
	case spec.Webhook():
		key = webhookKey(spec)
	default:
		key.tls = *spec.TLS
	}
	used[key] = true
	if existing := c.byKey[key]; existing != nil {
		return existing, nil
	}
	if spec.Webhook() {
		made, err := dialWebhook(spec, c.telemetry)
		if err != nil {
			return nil, err
		}
		c.byKey[key] = made
		return made, nil
	}
	cfg := backend.Config{Target: spec.Endpoint, Resolvers: c.resolvers, WaitForReady: spec.Required(), Telemetry: c.telemetry}
	stop := func() {}
	switch {
	case inproc && c.dialInproc == nil:
		return nil, fmt.Errorf("%w: endpoint %s is in the same process, and this gate runs alone; write a gRPC target such as dns:///host:9443", sdkconfig.ErrUnusable, spec.Endpoint)
	case config.OfService(spec.Endpoint) && c.cluster.Client == nil:
		return nil, fmt.Errorf("%w: endpoint %s is a service in the cluster, but this gate has no cluster to look it up in: start it with --kubeconfig, or in a cluster", sdkconfig.ErrUnusable, spec.Endpoint)
	case inproc:
		cfg.Dial = func(ctx context.Context) (net.Conn, error) { return c.dialInproc(ctx, *spec) }
	case spec.TLS.Mode != sdkconfig.None:
		files, err := tlsfile.NewClient(tlsfile.ClientConfig{
			CAFile: spec.TLS.CAFile, CertFile: spec.TLS.CertFile, KeyFile: spec.TLS.KeyFile,
			ServerName: spec.TLS.ServerName, Logger: c.telemetry.Logger,
		})
		if err != nil {
			return nil, err
		}
		cfg.Credentials = files.Credentials()
		stop = follow(files)
	}
	connection, err := backend.Dial(cfg)
	if err != nil {
		stop()
		return nil, err
	}
	c.byKey[key] = &client{asker: connection, stop: stop}
	return c.byKey[key], nil
}

// follow keeps certificates up to date until the returned function is called.
func follow(files *tlsfile.Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = files.Run(ctx) // returns nil
	}()
	return func() {
		cancel()
		<-done
	}
}

// retire closes the clients that are no longer used, once the reviews that still use them are over.
func (c *clients) retire(used map[endpoint]bool) {
	for key, unused := range c.byKey {
		if used[key] {
			continue
		}
		delete(c.byKey, key)
		c.lingering[unused] = time.AfterFunc(lingering, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.lingering, unused)
			_ = unused.close()
		})
	}
}

func (c *clients) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for key, one := range c.byKey {
		errs = append(errs, one.close())
		delete(c.byKey, key)
	}
	for one, timer := range c.lingering {
		if timer.Stop() {
			errs = append(errs, one.close())
		}
	}
	return errors.Join(errs...)
}

func (c *client) close() error {
	c.stop()
	return c.Close()
}
