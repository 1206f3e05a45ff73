// Package sdktest tests services through the real gRPC server, in memory.
package sdktest

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// bufferSize is how much may be under way in each direction of an in-memory connection.
const bufferSize = 1 << 20

// StartMutator serves m, whatever handler is named, until the test ends and returns a client of it.
func StartMutator(tb testing.TB, m sdk.Mutator) admissionv1.MutatorServiceClient {
	tb.Helper()
	return admissionv1.NewMutatorServiceClient(Start(tb, sdk.Config{Mutators: map[string]sdk.Mutator{"": m}}))
}

// StartValidator serves v, whatever handler is named, until the test ends and returns a client of it.
func StartValidator(tb testing.TB, v sdk.Validator) admissionv1.ValidatorServiceClient {
	tb.Helper()
	return admissionv1.NewValidatorServiceClient(Start(tb, sdk.Config{Validators: map[string]sdk.Validator{"": v}}))
}

// Start serves cfg's handlers until the test ends and returns a connection to them. There is no self-test
// and no health: the handlers see only what the test sends.
func Start(tb testing.TB, cfg sdk.Config) *grpc.ClientConn {
	tb.Helper()
	server, listener := sdk.NewServer(cfg), Listen(tb)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			tb.Errorf("in-memory server: %v", err)
		}
	})
	return Dial(tb, listener)
}

// Listen returns an in-memory listener, for sdk.Config.Listener; it is closed when the test ends.
func Listen(tb testing.TB) *bufconn.Listener {
	tb.Helper()
	listener := bufconn.Listen(bufferSize)
	tb.Cleanup(func() { _ = listener.Close() })
	return listener
}

// Dial returns a connection to listener, closed when the test ends. Unless options say otherwise it is in
// plain text.
func Dial(tb testing.TB, listener *bufconn.Listener, options ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:in-memory", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes)),
	}, options...)...)
	if err != nil {
		tb.Fatalf("in-memory client: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}
