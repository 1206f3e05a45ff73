package bench

import (
	"context"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/test/internal/harness"
)

// BenchmarkInProcess is the same decision with the gate, the mutator and the client in one process,
// still over TLS on both hops: for -cpuprofile and -memprofile, which see only the test's own process.
//
//	go test -run '^$' -bench InProcess/http1 -cpuprofile cpu.out ./bench
func BenchmarkInProcess(b *testing.B) {
	bench := newBench(b)
	for _, variable := range bench.env() {
		name, value, _ := strings.Cut(variable, "=")
		b.Setenv(name, value)
	}
	p := bench.programs(b)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	source := cluster.Source{ObjectFiles: []string{p.objects}}
	go func() {
		done <- run.Tasks(ctx,
			func(ctx context.Context) error {
				return mutatorsvc.Run(ctx, mutatorsvc.Options{ConfigFile: p.mutatorConfig, Source: source})
			},
			func(ctx context.Context) error {
				return gateway.Run(ctx, gateway.Options{ConfigFile: p.gatewayConfig, Source: source})
			})
	}()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	for _, admin := range []string{p.mutatorAdmin, p.gatewayAdmin} {
		if err := harness.AwaitReady(b.Context(), "http://"+admin+"/readyz"); err != nil {
			b.Fatal(err)
		}
	}
	for _, protocol := range []string{"http1", "http2"} {
		b.Run(protocol, func(b *testing.B) {
			client := bench.client(b, protocol)
			url := "https://" + p.gateway + "/mutate"
			bench.warmUp(b, client, url)
			b.ReportAllocs()
			bench.askAll(b, client, url)
		})
	}
}
