package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/gatefold/gatefold/test/internal/harness"
)

const (
	mutatorsName = "mutators.test"
	// balancedWithin is how soon after a change of DNS every replica has its share.
	balancedWithin = 10 * time.Second
	// evenly is the most that the busiest replica may have of what the idlest has.
	evenly = 1.5
	// window is how long calls are counted.
	window = time.Second
	// loaders post reviews one after another, resting in between: together some hundreds a second.
	loaders     = 6
	loaderRests = 5 * time.Millisecond
	// frozen is long enough for every loader to have a call at a replica that does not answer.
	frozen = 300 * time.Millisecond
)

// TestBalance scales the mutator and kills it under load: new replicas get their share within ten seconds,
// and no decision fails over it. The gate finds the replicas by DNS.
func TestBalance(t *testing.T) {
	b := newBalance(t)
	b.add(t, 1)
	stop := b.load(t)

	b.add(t, 4)
	b.awaitEven(t, "1 to 5 replicas")

	gone := b.remove(t, 3)
	b.awaitEven(t, "5 to 2 replicas")
	gone()

	b.add(t, 1)
	b.awaitEven(t, "2 to 3 replicas")

	b.kill(t)
	b.awaitEven(t, "1 of 3 replicas killed")
	b.publish()
	b.awaitEven(t, "and gone from DNS")
	stop()
	t.Logf("%d decisions, none failed", b.decided.Load())
}

// balance is a gate, its name server, and the replicas of a mutator.
type balance struct {
	*world
	dns      *harness.DNS
	gate     *gate
	port     string // of every replica
	next     byte   // the last octet of the next replica's address
	replicas []*service
	changed  time.Time // when DNS was, or a replica was killed
	decided  atomic.Int64
}

func newBalance(t *testing.T) *balance {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.binaries = must(harness.Build(t.Context(), w.dir))(t)
	w.pki = must(harness.NewPKI(w.dir, "authority"))(t)
	b := &balance{world: w, dns: must(harness.StartDNS(t.Context()))(t), next: 2}
	t.Cleanup(b.dns.Stop)
	_, b.port = splitAddress(t, must(harness.FreeAddress())(t))

	b.gate = &gate{
		apiserver: must(w.pki.Client("kube-apiserver"))(t),
		address:   must(harness.FreeAddress())(t), admin: must(harness.FreeAddress())(t),
	}
	b.gate.config = must(harness.Render(filepath.Join("testdata", "balance-gateway.yaml"), w.dir, map[string]any{
		"Address": b.gate.address, "Admin": b.gate.admin, "CAFile": w.pki.CAFile,
		"Server":   must(w.pki.Server("gateway"))(t),
		"Client":   must(w.pki.Client("gateway"))(t),
		"Mutators": "dns://" + b.dns.Address + "/" + net.JoinHostPort(mutatorsName, b.port),
	}))(t)
	b.gate.process = b.run(t, w.binaries.Gateway, b.gate.config, b.gate.admin)
	return b
}

func splitAddress(t *testing.T, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// run is world.start without a cluster.
func (b *balance) run(t *testing.T, binary, config, admin string) *harness.Process {
	t.Helper()
	return runUntilEnd(t, harness.Command{
		Path: binary, Args: []string{"--config", config},
		Env:   []string{"OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none", "GORACE=halt_on_error=1"},
		Ready: "http://" + admin + "/readyz",
	})
}

// add starts replicas and then names them in DNS, as a Service names pods that are ready.
func (b *balance) add(t *testing.T, n int) {
	t.Helper()
	for range n {
		host := netip.AddrFrom4([4]byte{127, 0, 0, b.next}).String()
		b.next++
		s := &service{binary: b.binaries.Mutator, address: net.JoinHostPort(host, b.port), admin: must(harness.FreeAddress())(t)}
		s.config = must(harness.Render(filepath.Join("testdata", "balance-mutator.yaml"), b.dir, map[string]any{
			"Address": s.address, "Admin": s.admin, "CAFile": b.pki.CAFile, "Server": must(b.pki.Server(mutatorsName))(t),
		}))(t)
		s.process = b.run(t, s.binary, s.config, s.admin)
		b.replicas = append(b.replicas, s)
	}
	b.publish()
}

// remove takes the last n replicas out of DNS and tells them to stop at the same moment, as Kubernetes does.
// The returned function waits until they have.
func (b *balance) remove(t *testing.T, n int) (gone func()) {
	t.Helper()
	leaving := b.replicas[len(b.replicas)-n:]
	b.replicas = b.replicas[:len(b.replicas)-n]
	b.publish()
	var all sync.WaitGroup
	for _, s := range leaving {
		all.Go(func() {
			if err := s.process.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return all.Wait
}

// kill ends a replica as kill -9 does, with calls in flight: it has not answered for a moment. DNS goes on
// naming it.
func (b *balance) kill(t *testing.T) {
	t.Helper()
	victim := b.replicas[0]
	b.replicas = b.replicas[1:]
	if err := victim.process.Freeze(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(frozen)
	victim.process.Kill()
	b.changed = time.Now()
}

func (b *balance) publish() {
	var addresses []netip.Addr
	for _, s := range b.replicas {
		addresses = append(addresses, netip.MustParseAddrPort(s.address).Addr())
	}
	b.dns.Set(mutatorsName, addresses...)
	b.changed = time.Now()
}

// awaitEven waits until every replica has its share of the calls, which must not take long, and sees that it
// stays so.
func (b *balance) awaitEven(t *testing.T, when string) {
	t.Helper()
	for {
		began := time.Since(b.changed)
		counts := b.count(t, window)
		if even(counts) {
			counts = b.count(t, 2*window)
			if !even(counts) {
				t.Errorf("%s: even at first, and then %v", when, counts)
			}
			t.Logf("%s: even after %s, calls per replica %v", when, began.Round(100*time.Millisecond), counts)
			return
		}
		if began > balancedWithin {
			t.Fatalf("%s: calls per replica are %v after %s", when, counts, began)
		}
	}
}

func even(counts []float64) bool {
	return slices.Min(counts) > 0 && slices.Max(counts) <= evenly*slices.Min(counts)
}

// count returns how many calls each replica answers within d, and looks at who is talked to meanwhile.
func (b *balance) count(t *testing.T, d time.Duration) []float64 {
	t.Helper()
	before := b.calls(t)
	time.Sleep(d)
	b.loopbackOnly(t)
	after := b.calls(t)
	for i := range after {
		after[i] -= before[i]
	}
	return after
}

func (b *balance) calls(t *testing.T) []float64 {
	t.Helper()
	calls := make([]float64, len(b.replicas))
	for i, s := range b.replicas {
		calls[i] = must(harness.Metrics(t.Context(), "http://"+s.admin+"/metrics"))(t)["rpc_server_call_duration_seconds_count"]
	}
	return calls
}

func (b *balance) loopbackOnly(t *testing.T) {
	t.Helper()
	processes := []*harness.Process{b.gate.process}
	for _, s := range b.replicas {
		processes = append(processes, s.process)
	}
	for _, p := range processes {
		for _, peer := range must(p.Peers())(t) {
			if !peer.Addr().IsLoopback() {
				t.Errorf("there is a connection with %s", peer)
			}
		}
	}
}

// load posts reviews until the returned function is called. Every decision but a good one fails the test.
func (b *balance) load(t *testing.T) (stop func()) {
	t.Helper()
	client := b.httpClient(t, &b.gate.apiserver)
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range loaders {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				case <-time.After(loaderRests):
				}
				if err := b.decide(t, client, fmt.Sprintf("%d-%d", i, n)); err != nil {
					t.Errorf("after %d decisions: %v", b.decided.Load(), err)
					return
				}
				b.decided.Add(1)
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}

func (b *balance) decide(t *testing.T, client *http.Client, uid string) error {
	t.Helper()
	resp, err := post(t, client, b.gate.url("/mutate?timeout=10s"), "application/json", bytes.NewReader(review(uid, 10)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &answer); err != nil || answer.Response == nil {
		return fmt.Errorf("got %d: %s", resp.StatusCode, body)
	}
	if r := answer.Response; !r.Allowed || len(r.Warnings) > 0 || !bytes.Contains(r.Patch, []byte("stamped-by")) {
		return fmt.Errorf("got %s", body)
	}
	return nil
}
