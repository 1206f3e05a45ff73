package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/telemetry"

	"github.com/gatefold/gatefold/gateway"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// TestStartFails shows that a gate that cannot start says so at once, and leaves no address behind on which
// clients would wait.
func TestStartFails(t *testing.T) {
	tests := map[string]struct {
		change func(config string, taken net.Listener) string
		err    string
	}{
		"the admin port is taken": {
			func(config string, taken net.Listener) string {
				return config + "admin: {address: " + taken.Addr().String() + "}\n"
			}, "address already in use",
		},
		"the gRPC port is taken": {
			func(config string, taken net.Listener) string {
				return config + "grpc: {address: " + taken.Addr().String() + "}\n"
			}, "address already in use",
		},
		"a condition cannot be compiled": {
			func(config string, _ net.Listener) string {
				return config + "  matchConditions: [{name: x, expression: 'object.('}]\n"
			}, "gatefold.yaml:14: backends[0].matchConditions[0].expression",
		},
		"a certificate is missing": {
			func(config string, _ net.Listener) string { return strings.Replace(config, "gate.crt", "other.crt", 1) }, "other.crt",
		},
		"a service is named, and no cluster is known": {
			func(config string, _ net.Listener) string {
				return strings.Replace(config, "passthrough:///127.0.0.1:1", "k8s:///labels.gatefold:9443", 1)
			}, "endpoint k8s:///labels.gatefold:9443 is a service in the cluster, but this gate has no cluster to look it up in",
		},
		"nobody is there for inproc endpoints": {
			func(config string, _ net.Listener) string { return config }, "in the same process, and this gate runs alone",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certificates(t, dir)
			backends := fmt.Sprintf(reloadable, 15, "first")
			if !strings.HasPrefix(name, "nobody") {
				backends = strings.Replace(backends, "endpoint: inproc://x", "endpoint: passthrough:///127.0.0.1:1\n  tls: {mode: None}", 1)
			}
			path := writeConfig(t, dir, test.change(backends, listen(t)))
			listener := listen(t)
			begin := time.Now()
			err := gateway.Run(t.Context(), gateway.Options{ConfigFile: path, Listener: listener, Telemetry: telemetry.Discard()})
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Fatalf("ended with %v, want %q", err, test.err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("took %s to say so", took)
			}
			if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
				_ = conn.Close()
				t.Error("the listener is still open")
			}
		})
	}
}

// TestAPI asks the gate over gRPC, and its health as a probe does.
func TestAPI(t *testing.T) {
	dir := t.TempDir()
	ca := certificates(t, dir)
	taken := listen(t)
	address := taken.Addr().String()
	_ = taken.Close()
	config := strings.Replace(fmt.Sprintf(reloadable, 0, "first"), "backends:", "grpc: {address: "+address+"}\nbackends:", 1)
	_, _, _ = fromFile(t, "h2", writeConfig(t, dir, config), ca)

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(ca.Pool(), "")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	eventually(t, "gRPC health says SERVING", func() bool {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "gatefold.gateway.v1.GateService"}, grpc.WaitForReady(true))
		return err == nil && answer.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING
	})
	gate := gatewayv1.NewGateServiceClient(conn)
	ask := func(object string) (*gatewayv1.MutateResponse, error) {
		return gate.Mutate(t.Context(), &gatewayv1.MutateRequest{Request: &admissionv1.AdmissionRequest{
			Uid: "1", Operation: admissionv1.Operation_OPERATION_CREATE, Object: []byte(object),
			Resource: &admissionv1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
			Kind:     &admissionv1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		}})
	}
	answer, err := ask(`{"metadata":{"labels":{}}}`)
	if err != nil || !answer.GetReview().GetAllowed() || len(answer.GetReview().GetOperations()) != 1 || answer.GetDecision().GetSteps()[0].GetBackend() != "first" {
		t.Errorf("answered %v, %v", answer, err)
	}
	for _, object := range []string{`{"metadata":{`, `[]`, `"x"`} {
		if _, err := ask(object); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want INVALID_ARGUMENT", object, err)
		}
	}
	if _, err := gate.Validate(t.Context(), &gatewayv1.ValidateRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no request: %v, want INVALID_ARGUMENT", err)
	}
}
