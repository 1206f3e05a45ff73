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
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk/cluster"
	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"

	"github.com/gatefold/gatefold/gateway/internal/backend"
	"github.com/gatefold/gatefold/gateway/internal/config"
	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/pipeline"
	"github.com/gatefold/gatefold/gateway/internal/resolve"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// lingering is how long a client that a new configuration no longer names is kept for the reviews that
// are under way: no review lasts longer than kube-apiserver waits.
const lingering = 35 * time.Second

// builder makes plans of configurations. Clients are kept from one plan to the next, so that a reload
// costs no connection that it does not change.
type builder struct {
	dialInproc func(context.Context, Backend) (net.Conn, error)
	telemetry  *telemetry.Telemetry
	cluster    *cluster.Cluster
	resolvers  []resolver.Builder
	compiler   *route.Compiler

	mu        sync.Mutex
	clients   map[endpoint]*client
	inForce   map[endpoint]bool       // those of the plan that was made last
	lingering map[*client]*time.Timer // closes each of them
}

// endpoint is everything that a connection depends on.
type endpoint struct {
	backendType, target, handler string // the latter two matter to DialInproc
	tls                          sdkconfig.ClientTLS
	waitForReady                 bool
	webhook                      webhookEndpoint
}

// asker is what asks a backend, whatever it speaks.
type asker interface {
	pipeline.Mutator
	pipeline.Validator
	io.Closer
}

// client is a connection, and the goroutine that follows its certificates.
type client struct {
	asker
	stop func()
}

func newBuilder(dialInproc func(context.Context, Backend) (net.Conn, error), tel *telemetry.Telemetry, state *cluster.Cluster) *builder {
	resolvers := []resolver.Builder{resolve.DNS(resolve.DNSConfig{Logger: tel.Logger})}
	if state.Client != nil {
		resolvers = append(resolvers, resolve.EndpointSlices(state.Client, tel.Logger))
	}
	return &builder{
		dialInproc: dialInproc,
		telemetry:  tel,
		cluster:    state,
		resolvers:  resolvers,
		compiler:   route.NewCompiler(),
		clients:    map[endpoint]*client{},
		lingering:  map[*client]*time.Timer{},
	}
}

// build returns the plan of a valid configuration. The error lists every selector and condition that
// cannot be used; nothing has changed then.
func (b *builder) build(cfg *Config) (*pipeline.Plan, error) {
	matchers, errs := compile(b.compiler, cfg)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	for i := range matchers {
		if matchers[i].NeedsNamespaces() && !b.cluster.Known() {
			return nil, fmt.Errorf("%w: backend %q has a namespaceSelector, but this gate knows no namespaces: start it with --kubeconfig or --objects, or in a cluster",
				sdkconfig.ErrUnusable, cfg.Backends[i].Name)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	plan := &pipeline.Plan{}
	used := map[endpoint]bool{}
	for _, kind := range []string{config.Mutator, config.Validator} {
		order, errs := config.Order(cfg.Backends, kind)
		if len(errs) > 0 {
			return nil, errs.ToAggregate()
		}
		for _, i := range order {
			spec := &cfg.Backends[i]
			connection, err := b.client(spec, used)
			if err != nil {
				b.retire(b.inForce)
				return nil, fmt.Errorf("backend %q: %w", spec.Name, err)
			}
			entry := &pipeline.Backend{
				Name:     spec.Name,
				Handler:  spec.Handler,
				Required: spec.Required(),
				Timeout:  spec.Timeout(),
				Matcher:  matchers[i],
				Guard:    fold.NewGuard(spec.MayPatch),
				Observed: fold.NewObserved(spec.Observes),
			}
			if kind == config.Mutator {
				entry.Mutator = connection
				plan.Mutators = append(plan.Mutators, entry)
			} else {
				entry.Validator = connection
				plan.Validators = append(plan.Validators, entry)
			}
		}
	}
	b.inForce = used
	b.retire(used)
	return plan, nil
}

// compile returns the matcher of each backend of cfg, and what is wrong with their selectors and conditions.
func compile(compiler *route.Compiler, cfg *Config) ([]*route.Matcher, field.ErrorList) {
	var errs field.ErrorList
	matchers := make([]*route.Matcher, len(cfg.Backends))
	for i := range cfg.Backends {
		spec, path := &cfg.Backends[i], field.NewPath("backends").Index(i)
		matcher, matcherErrs := compiler.Compile(route.Spec{
			Name:              spec.Name,
			Rules:             spec.Rules,
			MatchPolicy:       *spec.MatchPolicy,
			NamespaceSelector: spec.NamespaceSelector,
			ObjectSelector:    spec.ObjectSelector,
			MatchConditions:   spec.MatchConditions,
		}, path)
		errs = append(errs, matcherErrs...)
		matchers[i] = matcher
	}
	return matchers, errs
}

// client returns the connection for spec, the one there is where nothing about it has changed.
func (b *builder) client(spec *Backend, used map[endpoint]bool) (*client, error) {
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
	if existing := b.clients[key]; existing != nil {
		return existing, nil
	}
	if spec.Webhook() {
		made, err := dialWebhook(spec, b.telemetry)
		if err != nil {
			return nil, err
		}
		b.clients[key] = made
		return made, nil
	}
	cfg := backend.Config{Target: spec.Endpoint, Resolvers: b.resolvers, WaitForReady: spec.Required(), Telemetry: b.telemetry}
	stop := func() {}
	switch {
	case inproc && b.dialInproc == nil:
		return nil, fmt.Errorf("%w: endpoint %s is in the same process, and this gate runs alone; write a gRPC target such as dns:///host:9443", sdkconfig.ErrUnusable, spec.Endpoint)
	case config.OfService(spec.Endpoint) && b.cluster.Client == nil:
		return nil, fmt.Errorf("%w: endpoint %s is a service in the cluster, but this gate has no cluster to look it up in: start it with --kubeconfig, or in a cluster", sdkconfig.ErrUnusable, spec.Endpoint)
	case inproc:
		cfg.Dial = func(ctx context.Context) (net.Conn, error) { return b.dialInproc(ctx, *spec) }
	case spec.TLS.Mode != sdkconfig.None:
		files, err := tlsfile.NewClient(tlsfile.ClientConfig{
			CAFile: spec.TLS.CAFile, CertFile: spec.TLS.CertFile, KeyFile: spec.TLS.KeyFile,
			ServerName: spec.TLS.ServerName, Logger: b.telemetry.Logger,
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
	b.clients[key] = &client{asker: connection, stop: stop}
	return b.clients[key], nil
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
func (b *builder) retire(used map[endpoint]bool) {
	for key, c := range b.clients {
		if !used[key] {
			delete(b.clients, key)
			b.lingering[c] = time.AfterFunc(lingering, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				delete(b.lingering, c)
				_ = c.close()
			})
		}
	}
}

func (b *builder) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for key, c := range b.clients {
		errs = append(errs, c.close())
		delete(b.clients, key)
	}
	for c, timer := range b.lingering {
		if timer.Stop() {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(errs...)
}

func (c *client) close() error {
	c.stop()
	return c.Close()
}
