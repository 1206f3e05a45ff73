package sdk

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

const (
	// selfTestTimeout is for all handlers together, the first call to each of which may fill caches.
	selfTestTimeout = 10 * time.Second
	// selfTestBuffer holds the self-test's request and answer.
	selfTestBuffer = 64 << 10
)

// SelfTestRequest returns the request that a service's handlers are asked before it is ready, unless
// Config.SelfTest says otherwise: the dry-run CREATE of a small pod in a namespace of its own.
func SelfTestRequest() *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		Uid:             "self-test",
		Kind:            &admissionv1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Resource:        &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		RequestKind:     &admissionv1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		RequestResource: &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Name:            "self-test",
		Namespace:       "gatefold-self-test",
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		UserInfo:        &admissionv1.UserInfo{Username: "gatefold:self-test"},
		Object: []byte(`{"apiVersion":"v1","kind":"Pod",` +
			`"metadata":{"name":"self-test","namespace":"gatefold-self-test"},` +
			`"spec":{"serviceAccountName":"default","containers":[{"name":"main","image":"registry.example/self-test:1"}]}}`),
		Options: []byte(`{"apiVersion":"meta.k8s.io/v1","kind":"CreateOptions","dryRun":["All"]}`),
		DryRun:  true,
		NamespaceObject: &admissionv1.Namespace{
			Name:   "gatefold-self-test",
			Labels: map[string]string{"kubernetes.io/metadata.name": "gatefold-self-test"},
		},
	}
}

// SelfTestDeletion returns the deletion of that pod: for services of which what users configure may rightly fail
// for a pod that is made in a namespace of which nobody has heard.
func SelfTestDeletion() *admissionv1.AdmissionRequest {
	req := SelfTestRequest()
	req.Operation = admissionv1.Operation_OPERATION_DELETE
	req.Object, req.OldObject = nil, req.GetObject()
	req.Options = []byte(`{"apiVersion":"meta.k8s.io/v1","kind":"DeleteOptions","dryRun":["All"]}`)
	return req
}

// selfTest asks every handler once, through a gRPC server made as the real one is, but on an in-memory
// connection: the real one may well refuse the service's own certificate. It leaves no spans or metrics.
func selfTest(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, selfTestTimeout)
	defer cancel()

	quiet := telemetry.Discard()
	quiet.Logger = cfg.Telemetry.Logger
	cfg.Telemetry = quiet
	server := NewServer(cfg)
	listener := bufconn.Listen(selfTestBuffer)
	go func() { _ = server.Serve(listener) }() // ends with Stop; a failure shows as one of the calls below
	defer server.Stop()

	conn, err := grpc.NewClient("passthrough:self-test",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes)))
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	defer func() { _ = conn.Close() }()

	request := cfg.SelfTest
	if request == nil {
		request = SelfTestRequest()
	}
	mutators, validators := admissionv1.NewMutatorServiceClient(conn), admissionv1.NewValidatorServiceClient(conn)
	for name := range cfg.Mutators {
		if _, err := mutators.Mutate(ctx, &admissionv1.MutateRequest{Handler: name, Request: request}); err != nil {
			return fmt.Errorf("self-test of mutator %q: %w", name, err)
		}
	}
	for name := range cfg.Validators {
		if _, err := validators.Validate(ctx, &admissionv1.ValidateRequest{Handler: name, Request: request}); err != nil {
			return fmt.Errorf("self-test of validator %q: %w", name, err)
		}
	}
	return nil
}
