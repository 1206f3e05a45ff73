// Package backend talks to the services behind the gate: one gRPC client for each, which balances over
// its replicas and knows which of them can answer.
package backend

import (
	"context"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/roundrobin" // named by serviceConfig
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // client-side health checks, named by serviceConfig
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// serviceConfig is the client's policy; it is never taken from DNS.
//   - round_robin over all addresses, of those that gRPC health says are serving; a process without the
//     health service counts as serving.
//   - UNAVAILABLE, which says that no replica has begun to answer, is tried again twice. Backends are
//     idempotent per uid, and retryThrottling ends retries when a tenth of the calls fail. Half of its
//     tokens can be spent at once, so a replica may die with 500 calls in flight; more tokens gRPC has not.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": ""},
  "methodConfig": [{
    "name": [{}],
    "waitForReady": %t,
    "retryPolicy": {
      "maxAttempts": 3,
      "initialBackoff": "0.02s", "maxBackoff": "0.2s", "backoffMultiplier": 3,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1}
}`

const (
	// pingAfter and pingTimeout find a connection that died without a word.
	pingAfter   = 20 * time.Second
	pingTimeout = 5 * time.Second
	// The windows are those of sdk.NewServer, for the same reasons.
	streamWindow     = 1 << 20
	connectionWindow = 8 << 20
)

// Config says how a backend is reached.
type Config struct {
	// Target is a gRPC target, such as dns:///host:9443; what schemes there are is said by Resolvers.
	Target string
	// Resolvers find the replicas of targets of their schemes, instead of gRPC's own resolvers.
	Resolvers []resolver.Builder
	// Credentials make the connection safe; nil: plain text.
	Credentials credentials.TransportCredentials
	// Dial connects instead of the network, for a backend in the same process; nil: the network.
	Dial func(context.Context) (net.Conn, error)
	// WaitForReady makes calls wait, within their deadline, for a replica that can answer, instead of
	// failing at once while there is none. It suits backends that are required.
	WaitForReady bool
	// Telemetry traces and measures calls.
	Telemetry *telemetry.Telemetry
}

// Client asks one backend. It is safe for concurrent use.
type Client struct {
	conn      *grpc.ClientConn
	mutator   admissionv1.MutatorServiceClient
	validator admissionv1.ValidatorServiceClient
}

// Dial returns a client that connects in the background; that nobody is there yet is no error.
func Dial(cfg Config) (*Client, error) {
	transport := cfg.Credentials
	if transport == nil {
		transport = insecure.NewCredentials()
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithResolvers(cfg.Resolvers...),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(serviceConfig, cfg.WaitForReady)),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0), // an idle client would make the next review pay for connecting
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes)),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connectionWindow),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(cfg.Telemetry.TracerProvider),
			otelgrpc.WithMeterProvider(cfg.Telemetry.MeterProvider),
			otelgrpc.WithPropagators(cfg.Telemetry.Propagator),
		)),
	}
	target := cfg.Target
	if cfg.Dial != nil {
		target = "passthrough:///" + target
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return cfg.Dial(ctx) }))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", cfg.Target, err)
	}
	conn.Connect()
	return &Client{
		conn:      conn,
		mutator:   admissionv1.NewMutatorServiceClient(conn),
		validator: admissionv1.NewValidatorServiceClient(conn),
	}, nil
}

// Close ends the connections; calls in flight fail.
func (c *Client) Close() error { return c.conn.Close() }

// Mutate asks the backend. Errors carry an outcome.Cause; peer is the replica that was asked, where known.
func (c *Client) Mutate(ctx context.Context, req *admissionv1.MutateRequest) (resp *admissionv1.MutateResponse, replica string, err error) {
	var p peer.Peer
	start := time.Now()
	resp, err = c.mutator.Mutate(ctx, req, grpc.Peer(&p))
	return resp, address(&p), explain(ctx, err, time.Since(start))
}

// Validate asks the backend. Errors carry an outcome.Cause; peer is the replica that was asked, where known.
func (c *Client) Validate(ctx context.Context, req *admissionv1.ValidateRequest) (resp *admissionv1.ValidateResponse, replica string, err error) {
	var p peer.Peer
	start := time.Now()
	resp, err = c.validator.Validate(ctx, req, grpc.Peer(&p))
	return resp, address(&p), explain(ctx, err, time.Since(start))
}

func address(p *peer.Peer) string {
	if p.Addr == nil {
		return ""
	}
	return p.Addr.String()
}
