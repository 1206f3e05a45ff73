package bench

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// concurrency is that of a busy apiserver: enough to keep two cores full.
const concurrency = 16

// contender answers reviews, in one process or several.
type contender struct {
	url     string
	metrics []string // the URLs of its processes
}

// BenchmarkDecision reports, per decision, the processor time of all processes that took part in it
// (server-cpu-µs/op), what they allocated, and for the gate how its time compares with the usual webhook
// (x-control) and with the leanest (x-lean). ns/op is the wall time over all clients. The client's own
// work counts in none of it.
//
// Every process collects garbage as it does by itself: ours less often than Go's default, the controls at
// the default, as most webhooks do. GOGC in the environment makes it the same for all.
func BenchmarkDecision(b *testing.B) {
	bench := newBench(b)
	controls := bench.startControls(b)
	gate := bench.startGate(b)
	for _, protocol := range []string{"http1", "http2"} {
		b.Run(protocol, func(b *testing.B) {
			var controlCPU, leanCPU float64
			b.Run("floor", func(b *testing.B) { bench.measure(b, protocol, controls("floor")) })
			b.Run("control", func(b *testing.B) { controlCPU = bench.measure(b, protocol, controls("control")) })
			b.Run("lean", func(b *testing.B) { leanCPU = bench.measure(b, protocol, controls("lean")) })
			b.Run("gate", func(b *testing.B) {
				cpu := bench.measure(b, protocol, gate)
				b.ReportMetric(cpu/controlCPU, "x-control")
				b.ReportMetric(cpu/leanCPU, "x-lean")
			})
		})
	}
}

type bench struct {
	dir       string
	pki       *harness.PKI
	apiserver harness.KeyPair
	collector *harness.Collector
	review    []byte
}

func newBench(b *testing.B) *bench {
	b.Helper()
	dir := b.TempDir()
	pki := must(harness.NewPKI(dir, "authority"))(b)
	collector := must(harness.StartCollector(b.Context()))(b)
	b.Cleanup(collector.Stop)
	return &bench{
		dir: dir, pki: pki, collector: collector,
		apiserver: must(pki.Client("kube-apiserver"))(b),
		review:    must(os.ReadFile(filepath.Join("testdata", "review.json")))(b),
	}
}

// startControls starts the one process that serves them all, each under a path of its own.
func (x *bench) startControls(b *testing.B) func(path string) contender {
	b.Helper()
	server := must(x.pki.Server("control"))(b)
	c := controlConfig{
		Address: must(harness.FreeAddress())(b), Admin: must(harness.FreeAddress())(b),
		CertFile: server.CertFile, KeyFile: server.KeyFile, CAFile: x.pki.CAFile,
	}
	metrics := []string{x.start(b, harness.Command{
		Path:  must(os.Executable())(b),
		Env:   []string{controlEnv + "=" + string(must(json.Marshal(c))(b))},
		Ready: "http://" + c.Admin,
	}, c.Admin)}
	return func(path string) contender {
		return contender{url: "https://" + c.Address + "/" + path, metrics: metrics}
	}
}

// programs is where and with what configuration the gate and its mutator run.
type programs struct {
	gateway, gatewayAdmin, gatewayConfig string
	mutator, mutatorAdmin, mutatorConfig string
	objects                              string
}

func (x *bench) programs(b *testing.B) programs {
	b.Helper()
	p := programs{
		gateway: must(harness.FreeAddress())(b), gatewayAdmin: must(harness.FreeAddress())(b),
		mutator: must(harness.FreeAddress())(b), mutatorAdmin: must(harness.FreeAddress())(b),
		objects: must(filepath.Abs(filepath.Join("testdata", "objects.yaml")))(b),
	}
	p.mutatorConfig = must(harness.Render(filepath.Join("testdata", "mutator.yaml"), x.dir, map[string]any{
		"Address": p.mutator, "Admin": p.mutatorAdmin, "CAFile": x.pki.CAFile, "Server": must(x.pki.Server("mutator"))(b),
	}))(b)
	p.gatewayConfig = must(harness.Render(filepath.Join("testdata", "gateway.yaml"), x.dir, map[string]any{
		"Address": p.gateway, "Admin": p.gatewayAdmin, "CAFile": x.pki.CAFile, "Mutator": p.mutator,
		"Server": must(x.pki.Server("gateway"))(b), "Client": must(x.pki.Client("gateway"))(b),
	}))(b)
	return p
}

// env makes a program export one trace in a hundred.
func (x *bench) env() []string {
	return append(x.collector.Env(), "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01")
}

func (x *bench) startGate(b *testing.B) contender {
	b.Helper()
	binaries := must(harness.Build(b.Context(), x.dir))(b)
	p := x.programs(b)
	program := func(path, config, admin string) string {
		return x.start(b, harness.Command{
			Path: path, Args: []string{"--config", config, "--objects", p.objects}, Env: x.env(),
			Ready: "http://" + admin + "/readyz",
		}, admin)
	}
	return contender{url: "https://" + p.gateway + "/mutate", metrics: []string{
		program(binaries.Mutator, p.mutatorConfig, p.mutatorAdmin),
		program(binaries.Gateway, p.gatewayConfig, p.gatewayAdmin),
	}}
}

// start runs a program and returns the URL of its metrics.
func (x *bench) start(b *testing.B, c harness.Command, admin string) string {
	b.Helper()
	process := must(harness.Start(b.Context(), c))(b)
	b.Cleanup(func() {
		if err := process.Stop(); err != nil {
			b.Error(err)
		}
	})
	return "http://" + admin + "/metrics"
}

// measure sends b.N reviews and returns the seconds of processor time that one took, over all of c's processes.
func (x *bench) measure(b *testing.B, protocol string, c contender) float64 {
	client := x.client(b, protocol)
	x.warmUp(b, client, c.url)
	before := c.usage(b)
	x.askAll(b, client, c.url)
	after := c.usage(b)

	cpu := (after.cpu - before.cpu) / float64(b.N)
	b.ReportMetric(cpu*1e6, "server-cpu-µs/op")
	b.ReportMetric((after.allocations-before.allocations)/float64(b.N), "server-allocs/op")
	b.ReportMetric((after.allocated-before.allocated)/float64(b.N), "server-B/op")
	return cpu
}

// warmUp checks an answer and fills connections, caches and pools.
func (x *bench) warmUp(b *testing.B, client *http.Client, url string) {
	b.Helper()
	x.checkAnswer(b, client, url)
	for range 20 * concurrency {
		if err := x.ask(client, url); err != nil {
			b.Fatal(err)
		}
	}
}

// askAll sends b.N reviews, and is what the benchmark's time is taken of.
func (x *bench) askAll(b *testing.B, client *http.Client, url string) {
	b.Helper()
	b.ResetTimer()
	defer b.StopTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for range concurrency {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := x.ask(client, url); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func (x *bench) ask(client *http.Client, url string) error {
	resp, err := client.Post(url, "application/json", bytes.NewReader(x.review))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// checkAnswer makes sure that what is measured is the work and not a refusal of it.
func (x *bench) checkAnswer(b *testing.B, client *http.Client, url string) {
	b.Helper()
	resp := must(client.Post(url, "application/json", bytes.NewReader(x.review)))(b)
	defer resp.Body.Close()
	var answer admissionv1.AdmissionReview // of the floor, only the response
	body := must(io.ReadAll(resp.Body))(b)
	if err := json.Unmarshal(body, &answer); err != nil || answer.Response == nil {
		b.Fatalf("not an answer: %v\n%s", err, body)
	}
	if !answer.Response.Allowed || strings.Count(string(answer.Response.Patch), "AWS_ROLE_ARN") != 3 {
		b.Fatalf("the pod's three containers did not get their identity:\n%s", body)
	}
}

func (x *bench) client(b *testing.B, protocol string) *http.Client {
	b.Helper()
	config := &tls.Config{
		RootCAs:      x509.NewCertPool(),
		Certificates: []tls.Certificate{must(tls.LoadX509KeyPair(x.apiserver.CertFile, x.apiserver.KeyFile))(b)},
	}
	config.RootCAs.AppendCertsFromPEM(x.pki.CA)
	transport := &http.Transport{
		TLSClientConfig: config, MaxIdleConnsPerHost: concurrency, ForceAttemptHTTP2: protocol == "http2",
	}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// usage is what a program has used since it started.
type usage struct{ cpu, allocations, allocated float64 }

func (c contender) usage(b *testing.B) usage {
	b.Helper()
	var sum usage
	for _, url := range c.metrics {
		m := must(harness.Metrics(b.Context(), url))(b)
		sum.cpu += m["process_cpu_seconds_total"] // in steps of a hundredth
		sum.allocations += m["go_memstats_mallocs_total"]
		sum.allocated += m["go_memstats_alloc_bytes_total"]
	}
	if sum.cpu == 0 || sum.allocations == 0 || sum.allocated == 0 {
		b.Fatalf("the programs do not tell what they use: %+v", sum)
	}
	return sum
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
}
