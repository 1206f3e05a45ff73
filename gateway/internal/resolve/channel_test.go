package resolve

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatefold/gatefold/sdk/tlsfile"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
)

// TestErrorsReachCalls has a real channel in front of a service: while it has no replica, calls fail with
// what is to be done about it, also when it has had some; when it has one, its certificate must be for
// SERVICE.NAMESPACE.svc.
func TestErrorsReachCalls(t *testing.T) {
	ca, err := throwaway.New("test")
	if err != nil {
		t.Fatal(err)
	}
	port := serve(t, ca, "mutators.gatefold.svc")
	dir := t.TempDir()
	caFile, err := ca.Write(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	files, err := tlsfile.NewClient(tlsfile.ClientConfig{CAFile: caFile})
	if err != nil {
		t.Fatal(err)
	}

	client := fake.NewClientset()
	api := client.DiscoveryV1().EndpointSlices("gatefold")
	dial := func(target string) func(options ...grpc.CallOption) error {
		conn, err := grpc.NewClient(target,
			grpc.WithTransportCredentials(files.Credentials()),
			grpc.WithResolvers(EndpointSlices(client, nil), DNS(DNSConfig{})),
			grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
			grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`),
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return func(options ...grpc.CallOption) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, options...)
			return err
		}
	}
	call := dial("k8s:///mutators.gatefold:" + port)

	fails := func(call func(...grpc.CallOption) error, want string) {
		t.Helper()
		var err error
		eventually(t, want, func() bool { err = call(); return err != nil && strings.Contains(err.Error(), want) })
		if status.Code(err) != codes.Unavailable {
			t.Errorf("got %v, want it unavailable", err)
		}
		if err = call(grpc.WaitForReady(true)); status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), want) {
			t.Errorf("who waits gets %v, want %q too", err, want)
		}
	}
	fails(call, "service gatefold/mutators has no EndpointSlice")
	change := func(f func(context.Context, *discoveryv1.EndpointSlice) (*discoveryv1.EndpointSlice, error), endpoints ...string) {
		t.Helper()
		if _, err := f(t.Context(), slice("a", "grpc", endpoints...)); err != nil {
			t.Fatal(err)
		}
	}
	create := func(ctx context.Context, s *discoveryv1.EndpointSlice) (*discoveryv1.EndpointSlice, error) {
		return api.Create(ctx, s, metav1.CreateOptions{})
	}
	update := func(ctx context.Context, s *discoveryv1.EndpointSlice) (*discoveryv1.EndpointSlice, error) {
		return api.Update(ctx, s, metav1.UpdateOptions{})
	}
	change(create, "127.0.0.1", "127.0.0.2!")
	eventually(t, "calls are answered", func() bool { return call() == nil })
	change(update, "127.0.0.1!", "127.0.0.2!")
	fails(call, "service gatefold/mutators has no ready endpoint (2 not ready)")
	change(update, "127.0.0.1", "127.0.0.2!")
	eventually(t, "calls are answered again", func() bool { return call() == nil })

	fails(dial("dns:///127.0.0.1:"+port), "127.0.0.1")
	fails(dial("dns:///backend"), "host or port is missing")
	fails(dial("k8s:///backend"), "this is not k8s:///SERVICE.NAMESPACE:PORT")
}

// serve answers health checks on loopback with a certificate for name, and returns the port.
func serve(t *testing.T, ca *throwaway.CA, name string) string {
	t.Helper()
	pair, err := ca.Server(name)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
