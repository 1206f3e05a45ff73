package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

const (
	// patience bounds each wait; a busy machine needs some seconds.
	patience = time.Minute
	interval = 20 * time.Millisecond
	// bufferSize is that of the in-memory connections.
	bufferSize = 1 << 20
)

// system is a gate with its services in this process, which is observed from outside.
type system struct {
	config    string // the file
	gate      *httptest.Server
	listeners map[string]*bufconn.Listener // by the host of inproc://
	observers map[string]*observer         // by program
	client    *http.Client
	url       string
}

// observer has what one program tells.
type observer struct {
	telemetry *telemetry.Telemetry
	spans     *tracetest.SpanRecorder
}

// observe runs the system in testdata, sends it reviews that come out in every way, and returns what its
// programs told: the metrics and the spans, by program.
func observe(ctx context.Context, root string) (map[string]map[string]*dto.MetricFamily, map[string][]sdktrace.ReadOnlySpan, error) {
	dir, err := os.MkdirTemp("", "docs-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // left to the system's cleaning of temporary files
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "test/docs/testdata/system"))); err != nil {
		return nil, nil, err
	}
	s := &system{
		config:    filepath.Join(dir, "gatefold.yaml"),
		listeners: map[string]*bufconn.Listener{"mutator": bufconn.Listen(bufferSize), "validator": bufconn.Listen(bufferSize)},
		observers: map[string]*observer{},
	}
	for _, name := range []string{"gateway", "mutator", "validator"} {
		o := &observer{spans: tracetest.NewSpanRecorder()}
		o.telemetry, err = telemetry.New(ctx, telemetry.Config{
			Service: name, Logs: io.Discard, Level: slog.LevelError, SpanProcessors: []sdktrace.SpanProcessor{o.spans},
		})
		if err != nil {
			return nil, nil, err
		}
		s.observers[name] = o
	}
	metrics, err := s.run(ctx, filepath.Join(dir, "cluster.yaml"))
	if err != nil {
		return nil, nil, err
	}
	spans := map[string][]sdktrace.ReadOnlySpan{}
	for name, o := range s.observers {
		spans[name] = o.spans.Ended()
		err = errors.Join(err, o.telemetry.Shutdown(ctx))
	}
	return metrics, spans, err
}

// run starts everything, sends the reviews, and returns the metrics once all has ended.
func (s *system) run(ctx context.Context, objects string) (metrics map[string]map[string]*dto.MetricFamily, err error) {
	state, err := cluster.Source{ObjectFiles: []string{objects}}.Open(cluster.Options{})
	if err != nil {
		return nil, err
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err = run.Tasks(ctx,
		func(ctx context.Context) error {
			return mutatorsvc.Run(ctx, mutatorsvc.Options{
				ConfigFile: s.config, Cluster: state, Listener: s.listeners["mutator"], Telemetry: s.observers["mutator"].telemetry,
			})
		},
		func(ctx context.Context) error {
			return validatorsvc.Run(ctx, validatorsvc.Options{
				ConfigFile: s.config, Cluster: state, Listener: s.listeners["validator"], Telemetry: s.observers["validator"].telemetry,
			})
		},
		func(ctx context.Context) error {
			return gateway.Run(ctx, gateway.Options{
				ConfigFile: s.config, Cluster: state, Listener: listener, TLS: s.gate.TLS, DialInproc: s.dial, Telemetry: s.observers["gateway"].telemetry,
			})
		},
		func(ctx context.Context) error {
			defer stop()
			defer s.client.CloseIdleConnections()
			metrics, err = s.ask(ctx)
			return err
		},
	)
	return metrics, err
}
