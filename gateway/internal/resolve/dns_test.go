package resolve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/resolver"
)

// zone is what a fake DNS has of one name.
type zone struct {
	mu        sync.Mutex
	addresses []netip.Addr
	err       error
	asked     []time.Time
	server    string
	host      string
	hang      bool
}

func (z *zone) lookup(ctx context.Context, server, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, time.Now())
	z.server, z.host = server, host
	if z.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return z.addresses, z.err
}

func (z *zone) set(addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addresses, z.err = nil, nil
	for _, a := range addresses {
		z.addresses = append(z.addresses, netip.MustParseAddr(a))
	}
}

// fail makes lookups fail; with nil they find nothing.
func (z *zone) fail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addresses, z.err = nil, err
}

// lookups returns when there were any.
func (z *zone) lookups() []time.Time {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.asked)
}

func TestDNSFollowsAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		z := &zone{}
		z.set("127.0.0.3", "::ffff:127.0.0.2", "::1", "127.0.0.3")
		r, l := build(t, DNS(DNSConfig{Lookup: z.lookup, Logger: slog.New(slog.NewTextHandler(&logs, nil))}), "dns://127.0.0.1:5353/backend.test:9443")
		defer r.Close()
		synctest.Wait()
		first := []string{"127.0.0.2:9443", "127.0.0.3:9443", "[::1]:9443"}
		l.want(t, "at once", [][]string{first}, nil)
		if z.server != "127.0.0.1:5353" || z.host != "backend.test" {
			t.Errorf("asked %q for %q", z.server, z.host)
		}

		z.set("127.0.0.2", "127.0.0.3", "::1") // in another order
		time.Sleep(time.Minute)
		l.want(t, "nothing new", [][]string{first}, nil)
		asked := z.lookups()
		for i := 1; i < len(asked); i++ {
			if d := asked[i].Sub(asked[i-1]); d < DefaultInterval*9/10 || d > DefaultInterval {
				t.Errorf("lookup %d came after %s", i, d)
			}
		}

		z.set("127.0.0.4", "127.0.0.2")
		time.Sleep(DefaultInterval)
		synctest.Wait()
		second := []string{"127.0.0.2:9443", "127.0.0.4:9443"}
		l.want(t, "one gone, one new", [][]string{first, second}, nil)

		z.fail(errors.New("no such host"))
		time.Sleep(time.Minute)
		z.fail(nil)
		time.Sleep(time.Minute)
		l.want(t, "lookups fail", [][]string{first, second}, nil)
		if n := strings.Count(logs.String(), "looking up a backend fails"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, logs.String())
		}
		z.set("127.0.0.5")
		time.Sleep(DefaultInterval)
		synctest.Wait()
		l.want(t, "lookups work again", [][]string{first, second, {"127.0.0.5:9443"}}, nil)
	})
}

func TestDNSFailsWhileNothingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{err: errors.New("lookup backend.test: no such host")}
		r, l := build(t, DNS(DNSConfig{Lookup: z.lookup}), "dns:///backend.test:9443")
		defer r.Close()
		synctest.Wait()
		l.want(t, "no such host", nil, []string{"finding the replicas of backend.test: lookup backend.test: no such host"})
		z.fail(nil)
		r.ResolveNow(resolver.ResolveNowOptions{})
		time.Sleep(pause + 1)
		l.want(t, "empty", nil, []string{
			"finding the replicas of backend.test: lookup backend.test: no such host",
			"finding the replicas of backend.test: the name has no addresses",
		})
	})
}

func TestDNSIsAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{}
		z.set("127.0.0.2")
		r, _ := build(t, DNS(DNSConfig{Lookup: z.lookup}), "dns:///backend.test:9443")
		defer r.Close()
		start := time.Now()
		for time.Since(start) < 9500*time.Millisecond {
			r.ResolveNow(resolver.ResolveNowOptions{})
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(z.lookups()); n != 10 {
			t.Errorf("asked %d times in 9.5 s, want at once and once a second", n)
		}
	})
}

func TestDNSLookupHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{hang: true}
		r, l := build(t, DNS(DNSConfig{Lookup: z.lookup}), "dns:///backend.test:9443")
		time.Sleep(lookupTimeout + 1)
		l.want(t, "nobody answers", nil, []string{"finding the replicas of backend.test: context deadline exceeded"})
		time.Sleep(DefaultInterval) // in a lookup again
		closing := time.Now()
		r.Close()
		if d := time.Since(closing); d != 0 {
			t.Errorf("closing waited %s for a lookup", d)
		}
		l.want(t, "closed", nil, []string{"finding the replicas of backend.test: context deadline exceeded"})
	})
}

func TestDNSTargets(t *testing.T) {
	tests := map[string]struct{ static, err string }{
		"dns:///192.0.2.1:9443":        {static: "192.0.2.1:9443"},
		"dns:///[2001:db8::1]:9443":    {static: "[2001:db8::1]:9443"},
		"dns:///[fe80::1%25eth0]:9443": {static: "[fe80::1%eth0]:9443"},
		"dns:192.0.2.1:9443":           {static: "192.0.2.1:9443"},
		"dns:///backend":               {err: "dns:///backend: host or port is missing; write dns:///host:9443"},
		"dns:///backend:":              {err: "dns:///backend:: host or port is missing; write dns:///host:9443"},
		"dns:///:9443":                 {err: "dns:///:9443: host or port is missing; write dns:///host:9443"},
		"dns:///":                      {err: "dns:///: host or port is missing; write dns:///host:9443"},
		"dns:///2001:db8::1":           {err: "dns:///2001:db8::1: host or port is missing; write dns:///host:9443"},
		"dns:///backend:https":         {err: `dns:///backend:https: port "https" is not a number from 1 to 65535`},
		"dns:///backend:0":             {err: `dns:///backend:0: port "0" is not a number from 1 to 65535`},
		"dns:///backend:65536":         {err: `dns:///backend:65536: port "65536" is not a number from 1 to 65535`},
	}
	for to, test := range tests {
		t.Run(to, func(t *testing.T) {
			z := &zone{}
			l := &listener{}
			r, err := DNS(DNSConfig{Lookup: z.lookup}).Build(target(t, to), l, resolver.BuildOptions{})
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("got error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r.ResolveNow(resolver.ResolveNowOptions{})
			r.Close()
			l.want(t, "static", [][]string{{test.static}}, nil)
			if len(z.lookups()) > 0 {
				t.Error("an address was looked up")
			}
		})
	}
}

func TestDNSServer(t *testing.T) {
	for to, want := range map[string]string{
		"dns:///h:1":                   "",
		"dns://192.0.2.53/h:1":         "192.0.2.53:53",
		"dns://192.0.2.53:5353/h:1":    "192.0.2.53:5353",
		"dns://[2001:db8::53]/h:1":     "[2001:db8::53]:53",
		"dns://[2001:db8::53]:54/h:1":  "[2001:db8::53]:54",
		"dns://resolver.test:5353/h:1": "resolver.test:5353",
	} {
		if got := server(target(t, to)); got != want {
			t.Errorf("%s: the server is %q, want %q", to, got, want)
		}
	}
}
