package sdk_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// running is a service under test.
type running struct {
	conn  *grpc.ClientConn
	stop  context.CancelFunc
	ended chan error
}

// start runs cfg on an in-memory listener until the test ends, and then checks that it drained.
func start(t *testing.T, cfg sdk.Config) *running {
	t.Helper()
	listener := sdktest.Listen(t)
	cfg.Name, cfg.Listener, cfg.Telemetry = "test", listener, telemetry.Discard()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{conn: sdktest.Dial(t, listener), stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- sdk.Serve(ctx, cfg) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

func (r *running) mutate(ctx context.Context, t *testing.T, uid string) error {
	t.Helper()
	request := sdktest.PodRequest(t, pod)
	request.Uid = uid
	_, err := admissionv1.NewMutatorServiceClient(r.conn).Mutate(ctx, &admissionv1.MutateRequest{Request: request}, grpc.WaitForReady(true))
	return err
}

// becomes waits until gRPC health says want of service.
func (r *running) becomes(t *testing.T, service string, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	watch, err := grpc_health_v1.NewHealthClient(r.conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for {
		got, err := watch.Recv()
		if err != nil {
			t.Fatalf("health of %q never became %s: %v", service, want, err)
		}
		if got.GetStatus() == want {
			return
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// readyz asks until the admin server listens, which may be after gRPC does.
func readyz(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get("http://" + address + "/readyz")
	for end := time.Now().Add(10 * time.Second); err != nil; response, err = http.Get("http://" + address + "/readyz") {
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestReadyOnlyAfterChecksAndSelfTest(t *testing.T) {
	t.Parallel()
	var synced, able atomic.Bool
	var asked atomic.Int32
	address := freeAddress(t)
	r := start(t, sdk.Config{
		Admin: config.Admin{Address: address},
		Ready: []admin.Check{{Name: "cache", Check: func(context.Context) error {
			if !synced.Load() {
				return errors.New("not synced")
			}
			return nil
		}}},
		Mutators: map[string]sdk.Mutator{"": mutator(nil, nil)},
		Validators: map[string]sdk.Validator{"v": sdk.ValidatorFunc(func(_ context.Context, req *sdk.Request) (*sdk.Verdict, error) {
			asked.Add(1)
			if !req.GetDryRun() || req.GetUid() != "self-test" || !able.Load() {
				return nil, errors.New("cannot answer yet")
			}
			return &sdk.Verdict{Denials: []*admissionv1.Denial{sdk.Deny("a denial is an answer")}}, nil
		})},
	})
	const validators = "gatefold.admission.v1.ValidatorService"
	serving, notServing := grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING
	r.becomes(t, "", notServing)
	r.becomes(t, validators, notServing)
	if got := readyz(t, address); !strings.Contains(got, "[-]cache failed: not synced\n[-]self-test failed: not run yet\n") {
		t.Errorf("/readyz before the sync: %q", got)
	}
	if asked.Load() != 0 {
		t.Error("the self-test did not wait for the checks")
	}

	synced.Store(true)
	for end := time.Now().Add(20 * time.Second); asked.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no self-test after the sync")
		}
	}
	r.becomes(t, "", notServing)
	able.Store(true)
	r.becomes(t, "", serving)
	r.becomes(t, validators, serving)
	r.becomes(t, "gatefold.admission.v1.MutatorService", serving)
	if got := readyz(t, address); got != "ok" {
		t.Errorf("/readyz when ready: %q", got)
	}

	synced.Store(false)
	r.becomes(t, "", notServing)
	if got := readyz(t, address); !strings.Contains(got, "[+]self-test ok\n") {
		t.Errorf("/readyz after the cache was lost: %q", got)
	}
}

// blocking answers the self-test at once, and other calls when they are let go or cut off.
type blocking struct{ entered, release chan struct{} }

func (b blocking) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	if req.GetUid() == "self-test" {
		return nil, nil
	}
	b.entered <- struct{}{}
	select {
	case <-b.release:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestDrainFinishesCallsInFlight(t *testing.T) {
	t.Parallel()
	handler := blocking{make(chan struct{}), make(chan struct{})}
	address := freeAddress(t)
	r := start(t, sdk.Config{Admin: config.Admin{Address: address}, Mutators: map[string]sdk.Mutator{"": handler}})
	r.becomes(t, "", grpc_health_v1.HealthCheckResponse_SERVING)
	answered := make(chan error, 1)
	go func() { answered <- r.mutate(t.Context(), t, "slow") }()
	<-handler.entered

	r.stop()
	// Health first: over a connection that is being drained no new call is answered.
	for end := time.Now().Add(10 * time.Second); !strings.Contains(readyz(t, address), "[-]shutdown failed"); {
		if time.Now().After(end) {
			t.Fatal("/readyz does not say that the service is going away")
		}
	}
	close(handler.release)
	if err := <-answered; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	handler := blocking{make(chan struct{}), nil}
	r := start(t, sdk.Config{DrainTimeout: 50 * time.Millisecond, Mutators: map[string]sdk.Mutator{"": handler}})
	answered := make(chan error, 1)
	go func() { answered <- r.mutate(t.Context(), t, "stuck") }()
	<-handler.entered
	r.stop()
	if err := <-answered; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that was cut off: %v", err)
	}
}

// A client that watches health must not hold up the drain: GracefulStop waits for every stream.
func TestDrainDoesNotWaitForHealthWatchers(t *testing.T) {
	t.Parallel()
	listener := sdktest.Listen(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- sdk.Serve(ctx, sdk.Config{
			Listener: listener, Telemetry: telemetry.Discard(), Mutators: map[string]sdk.Mutator{"": mutator(nil, nil)},
		})
	}()
	conn := sdktest.Dial(t, listener, grpc.WithDefaultServiceConfig(
		`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}}`))
	if err := (&running{conn: conn}).mutate(t.Context(), t, "watched"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > sdk.DefaultDrainTimeout/2 {
		t.Errorf("the drain took %s", took)
	}
}

func TestServeWithAContextThatIsDone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := sdk.Serve(ctx, sdk.Config{
		Listener: sdktest.Listen(t), Telemetry: telemetry.Discard(), Mutators: map[string]sdk.Mutator{"m": mutator(nil, nil)},
	})
	if err != nil {
		t.Error(err)
	}
}

func TestServeRefusesBadConfigs(t *testing.T) {
	t.Parallel()
	handlers := map[string]sdk.Mutator{"m": mutator(nil, nil)}
	files := &config.TLS{CertFile: "a", KeyFile: "b"}
	cases := map[string]struct {
		cfg  sdk.Config
		want string
	}{
		"nothing to serve":       {sdk.Config{Listen: config.Listen{Address: ":0", ClientAuth: &config.ClientAuth{Mode: "None"}}}, "nothing to serve"},
		"a nil handler":          {sdk.Config{Listener: sdktest.Listen(t), Mutators: map[string]sdk.Mutator{"m": nil}}, `mutator "m" is nil`},
		"nowhere to listen":      {sdk.Config{Mutators: handlers, Listen: config.Listen{ClientAuth: &config.ClientAuth{Mode: "None"}}}, "listen: no address"},
		"plain text, unsaid":     {sdk.Config{Mutators: handlers, Listen: config.Listen{Address: ":0"}}, "say which clients are let in"},
		"TLS to anybody, unsaid": {sdk.Config{Mutators: handlers, Listen: config.Listen{Address: ":0", TLS: files}}, "say which clients are let in"},
		"neither mode nor file":  {sdk.Config{Mutators: handlers, Listen: config.Listen{Address: ":0", TLS: files, ClientAuth: &config.ClientAuth{}}}, "set caFile, or mode: None"},
		"mode and file":          {sdk.Config{Mutators: handlers, Listen: config.Listen{Address: ":0", TLS: files, ClientAuth: &config.ClientAuth{Mode: "None", CAFile: "c"}}}, "contradict"},
		"clients without TLS":    {sdk.Config{Mutators: handlers, Listen: config.Listen{Address: ":0", ClientAuth: &config.ClientAuth{CAFile: "c"}}}, "without TLS"},
		"files that are missing": {sdk.Config{Mutators: handlers, Listen: config.Listen{Address: ":0", TLS: files, ClientAuth: &config.ClientAuth{Mode: "None"}}}, "reading TLS file: open a"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.cfg.Name, tc.cfg.Telemetry = "svc", telemetry.Discard()
			err := sdk.Serve(t.Context(), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `service "svc"`) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
