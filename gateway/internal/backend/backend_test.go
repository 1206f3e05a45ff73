package backend

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mutator answers, unless it is stuck.
type mutator struct {
	admissionv1.UnimplementedMutatorServiceServer
	stuck   bool
	arrived chan struct{}
}

func (m *mutator) Mutate(ctx context.Context, _ *admissionv1.MutateRequest) (*admissionv1.MutateResponse, error) {
	if m.stuck {
		m.arrived <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &admissionv1.MutateResponse{}, nil
}

func start(t *testing.T, m *mutator) (server *grpc.Server, endpoint resolver.Endpoint) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = grpc.NewServer()
	admissionv1.RegisterMutatorServiceServer(server, m)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return server, resolver.Endpoint{Addresses: []resolver.Address{{Addr: l.Addr().String()}}}
}

// TestReplicaDiesWithCallsInFlight: the calls that a replica had when it died are all asked again of another.
func TestReplicaDiesWithCallsInFlight(t *testing.T) {
	const calls = 400 // of two kube-apiservers, which by default work on 200 changes each
	dying := &mutator{stuck: true, arrived: make(chan struct{}, calls)}
	server, first := start(t, dying)
	_, second := start(t, &mutator{})
	replicas := manual.NewBuilderWithScheme("replicas")
	replicas.InitialState(resolver.State{Endpoints: []resolver.Endpoint{first}})
	client, err := Dial(Config{
		Target: "replicas:///", Resolvers: []resolver.Builder{replicas}, WaitForReady: true, Telemetry: telemetry.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			_, replica, err := client.Mutate(ctx, &admissionv1.MutateRequest{})
			if err != nil || replica != second.Addresses[0].Addr {
				t.Errorf("%s answered, %v; want an answer of the replica that lives", replica, err)
			}
		})
	}
	for range calls {
		<-dying.arrived
	}
	replicas.UpdateState(resolver.State{Endpoints: []resolver.Endpoint{first, second}})
	server.Stop()
	all.Wait()
}
