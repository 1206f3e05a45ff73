package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

const (
	// DefaultInterval leaves half of the ten seconds, within which new replicas get their share of the
	// calls, to whoever writes the name's records and to connecting.
	DefaultInterval = 5 * time.Second
	// pause is the least time between two lookups, however often connections are lost.
	pause = time.Second
	// lookupTimeout outlasts a name server that is down: Go asks the next one after 5 s.
	lookupTimeout = 15 * time.Second
)

// DNSConfig says how DNS is asked. The zero value asks as it should be.
type DNSConfig struct {
	// Interval is the longest time between two lookups of a name; 0: DefaultInterval.
	Interval time.Duration
	// Lookup returns the addresses of host, as the DNS server at the address server has them, or, where
	// server is empty, as the system has them. Nil: ask them.
	Lookup func(ctx context.Context, server, host string) ([]netip.Addr, error)
	// Logger is told once when lookups begin to fail. Nil: nobody is told.
	Logger *slog.Logger
}

// DNS returns the builder for targets dns:///HOST:PORT and dns://SERVER/HOST:PORT: the replicas are the
// addresses of HOST, looked up all the time. HOST may be an IP address, which is not looked up. A lookup
// that fails or finds nothing leaves the replicas that are known. DNS has no say in the service config.
func DNS(cfg DNSConfig) resolver.Builder {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Lookup == nil {
		cfg.Lookup = lookup
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &dnsBuilder{cfg}
}

type dnsBuilder struct{ DNSConfig }

func (*dnsBuilder) Scheme() string { return "dns" }

// Build implements resolver.Builder.
func (b *dnsBuilder) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	host, port, err := hostPort(target.Endpoint())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	d := &dnsResolver{
		DNSConfig: b.DNSConfig,
		channel:   channel{ClientConn: cc},
		target:    target.String(), server: server(target), host: host, port: port,
		now: make(chan struct{}, 1), cancel: func() {},
	}
	if address, err := netip.ParseAddr(host); err == nil {
		d.set([]netip.AddrPort{netip.AddrPortFrom(address, port)})
		return d, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.all.Go(func() { d.run(ctx) })
	return d, nil
}

// hostPort takes an endpoint apart. gRPC's own resolver takes 443 for granted, where no backend listens.
func hostPort(endpoint string) (host string, port uint16, err error) {
	host, number, err := net.SplitHostPort(endpoint)
	if err != nil || host == "" || number == "" {
		return "", 0, errors.New("host or port is missing; write dns:///host:9443")
	}
	port, err = portNumber(number)
	return host, port, err
}

func portNumber(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	return uint16(port), nil
}

// server returns the address of the DNS server that target names, if any.
func server(target resolver.Target) string {
	if target.URL.Host == "" {
		return ""
	}
	port := target.URL.Port()
	if port == "" {
		port = "53"
	}
	return net.JoinHostPort(target.URL.Hostname(), port)
}

func lookup(ctx context.Context, server, host string) ([]netip.Addr, error) {
	asked := &net.Resolver{}
	if server != "" {
		asked.PreferGo = true
		asked.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}
	}
	return asked.LookupNetIP(ctx, "ip", host)
}

// dnsResolver looks up one name for one channel.
type dnsResolver struct {
	DNSConfig
	channel
	target, server, host string
	port                 uint16
	failing              bool // as the log was told
	now                  chan struct{}
	cancel               context.CancelFunc
	all                  sync.WaitGroup
}

// ResolveNow implements resolver.Resolver. gRPC calls it when a connection is lost.
func (d *dnsResolver) ResolveNow(resolver.ResolveNowOptions) {
	select {
	case d.now <- struct{}{}:
	default:
	}
}

// Close implements resolver.Resolver. It waits for a lookup under way to end, which it does at once.
func (d *dnsResolver) Close() {
	d.cancel()
	d.all.Wait()
}

func (d *dnsResolver) run(ctx context.Context) {
	for {
		d.look(ctx)
		// Gates that were started together should not ask together for ever.
		wait := d.Interval - rand.N(d.Interval/10+1)
		if !sleep(ctx, min(pause, wait), nil) || !sleep(ctx, wait-min(pause, wait), d.now) {
			return
		}
	}
}

// sleep waits for d, or until now has something. It returns false once ctx is done.
func sleep(ctx context.Context, d time.Duration, now <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-now:
	}
	return ctx.Err() == nil
}

// look looks the name up once, and tells the channel and the log what is new.
func (d *dnsResolver) look(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := d.Lookup(asking, d.server, d.host)
	if err == nil && len(addresses) == 0 {
		err = errors.New("the name has no addresses")
	}
	if ctx.Err() != nil {
		return // closed meanwhile, and that is the error
	}
	if err != nil {
		d.failed(ctx, err)
		return
	}
	d.failing = false
	replicas := make([]netip.AddrPort, len(addresses))
	for i, address := range addresses {
		replicas[i] = netip.AddrPortFrom(address.Unmap(), d.port)
	}
	if d.set(replicas) {
		d.Logger.InfoContext(ctx, "replicas found", "endpoint", d.target, "addresses", d.known)
	}
}

func (d *dnsResolver) failed(ctx context.Context, err error) {
	if len(d.known) == 0 {
		d.ReportError(fmt.Errorf("finding the replicas of %s: %w", d.host, err))
	}
	if !d.failing {
		d.failing = true
		d.Logger.WarnContext(ctx, "looking up a backend fails; what is known of it stays", "endpoint", d.target, "addresses", d.known, "error", err)
	}
}
