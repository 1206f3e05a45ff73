package sdk

import (
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/stats"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/interceptor"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

const (
	// MaxMessageBytes is the largest message that gate and services take from each other. A review of
	// an UPDATE can hold two objects, and kube-apiserver sends reviews of 19 MB.
	MaxMessageBytes = 32 << 20
	// maxConnectionAge makes clients look the service's name up again: gRPC does so only when a
	// connection ends, so a replica that was added would otherwise get no traffic.
	maxConnectionAge      = 5 * time.Minute
	maxConnectionAgeGrace = 30 * time.Second
	// minPingInterval is how often a client may ping; the gate pings every 20 s to find dead connections.
	minPingInterval = 10 * time.Second
	// maxConcurrentStreams bounds what one connection can have in flight.
	maxConcurrentStreams = 1024
	// maxHeaderBytes is far above what a gate sends: trace context and a deadline.
	maxHeaderBytes = 64 << 10
	// The flow-control windows hold the usual review many times over. Fixed ones also save the pings
	// with which gRPC otherwise measures the connection, about one per request.
	streamWindow     = 1 << 20
	connectionWindow = 8 << 20
)

// NewServer returns the gRPC server that Serve runs, with handlers and interceptors but without a life:
// no health, no readiness, no listener. It is for tests and for programs that serve in their own way.
func NewServer(cfg Config, options ...grpc.ServerOption) *grpc.Server {
	tel := cfg.Telemetry
	if tel == nil {
		tel = telemetry.Discard()
	}
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(
			interceptor.Recover(tel.Logger),
			interceptor.Deadline(),
		),
		grpc.StatsHandler(observer(tel)),
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      maxConnectionAge,
			MaxConnectionAgeGrace: maxConnectionAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             minPingInterval,
			PermitWithoutStream: true,
		}),
	}, options...)...)
	if len(cfg.Mutators) > 0 {
		admissionv1.RegisterMutatorServiceServer(server, &mutatorServer{handlers: cfg.Mutators, logger: tel.Logger})
	}
	if len(cfg.Validators) > 0 {
		admissionv1.RegisterValidatorServiceServer(server, &validatorServer{handlers: cfg.Validators, logger: tel.Logger})
	}
	return server
}

// observer traces and measures the calls of the contract; health checks and reflection would only drown
// them.
func observer(tel *telemetry.Telemetry) stats.Handler {
	return otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(tel.TracerProvider),
		otelgrpc.WithMeterProvider(tel.MeterProvider),
		otelgrpc.WithPropagators(tel.Propagator),
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool {
			return !strings.HasPrefix(info.FullMethodName, "/grpc.")
		}),
	)
}
