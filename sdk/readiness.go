package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/admin"
)

const (
	// readinessInterval is how often gRPC health is brought up to date; /readyz asks the checks itself.
	readinessInterval = 200 * time.Millisecond
	// selfTestInterval is the least time between two self-tests: each one that fails leaves log lines.
	selfTestInterval = 2 * time.Second
)

var errNotTested = errors.New("not run yet")

// readiness knows whether the service can answer: its checks pass, and its handlers have passed the
// self-test once.
type readiness struct {
	cfg      Config
	health   *health.Server
	services []string              // as gRPC health names them; "" is the server as a whole
	selfTest atomic.Pointer[error] // what is wrong; nil pointer: passed
	tested   time.Time             // when the self-test last ran; only touched by watch
}

func newReadiness(cfg Config, server *health.Server) *readiness {
	r := &readiness{cfg: cfg, health: server, services: []string{""}}
	if len(cfg.Mutators) > 0 {
		r.services = append(r.services, admissionv1.MutatorService_ServiceDesc.ServiceName)
	}
	if len(cfg.Validators) > 0 {
		r.services = append(r.services, admissionv1.ValidatorService_ServiceDesc.ServiceName)
	}
	r.selfTest.Store(&errNotTested)
	r.report(false)
	return r
}

// checks is what /readyz asks.
func (r *readiness) checks() []admin.Check {
	return append(slices.Clip(r.cfg.Ready), admin.Check{
		Name: "self-test",
		Check: func(context.Context) error {
			if err := r.selfTest.Load(); err != nil {
				return *err
			}
			return nil
		},
	})
}

// watch keeps gRPC health up to date until ctx is done. What changes is logged, once.
func (r *readiness) watch(ctx context.Context) error {
	ticker := time.NewTicker(readinessInterval)
	defer ticker.Stop()
	last := "starting"
	for {
		now := ""
		if err := r.now(ctx); err != nil {
			now = err.Error()
		}
		if ctx.Err() != nil {
			return nil
		}
		if now != last {
			r.log(ctx, now)
			r.report(now == "")
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// now says what keeps the service from being ready. The self-test waits for the checks: a handler can
// hardly answer before its caches are filled.
func (r *readiness) now(ctx context.Context) error {
	for _, check := range r.cfg.Ready {
		if err := check.Check(ctx); err != nil {
			return fmt.Errorf("%s: %w", check.Name, err)
		}
	}
	failure := r.selfTest.Load()
	if failure == nil {
		return nil
	}
	if time.Since(r.tested) < selfTestInterval {
		return *failure
	}
	r.tested = time.Now()
	if err := selfTest(ctx, r.cfg); err != nil {
		r.selfTest.Store(&err)
		return err
	}
	r.selfTest.Store(nil)
	return nil
}

func (r *readiness) log(ctx context.Context, problem string) {
	if problem == "" {
		r.cfg.Telemetry.Logger.InfoContext(ctx, "ready")
		return
	}
	r.cfg.Telemetry.Logger.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("reason", problem))
}

// report tells gRPC health. After health.Shutdown it has no effect, so a drain is never undone.
func (r *readiness) report(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	for _, service := range r.services {
		r.health.SetServingStatus(service, status)
	}
}
