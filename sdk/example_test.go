package sdk_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// stampTeam labels pods with a team. This and serve are a complete service: health, readiness with a
// self-test, drain and telemetry are Serve's.
func stampTeam(_ context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	var pod corev1.Pod
	if err := req.Decode(&pod); err != nil {
		return nil, err
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["team"] = "payments"
	return &sdk.Mutation{Object: &pod}, nil
}

func serve(ctx context.Context, listener net.Listener) error {
	return sdk.Serve(ctx, sdk.Config{
		Name:     "stamp",
		Listener: listener, // or Listen: with an address, certificates, and who is let in
		Mutators: map[string]sdk.Mutator{"stamp": sdk.MutatorFunc(stampTeam)},
	})
}

func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error)
	go func() { ended <- serve(ctx, listener) }()

	ask(ctx, listener.Addr().String(), `{"apiVersion":"v1","kind":"Pod",
		"metadata":{"name":"web"},"spec":{"fieldOfTheFuture":9007199254740993}}`)
	stop()
	fmt.Println("drained:", <-ended)
	// Output:
	// PATCH_OP_ADD /metadata/labels {"team":"payments"}
	// drained: <nil>
}

// ask prints what the gate would get: operations, which leave alone what the service does not know.
func ask(ctx context.Context, address, object string) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	answer, err := admissionv1.NewMutatorServiceClient(conn).Mutate(ctx, &admissionv1.MutateRequest{
		Handler: "stamp", // the gate sends its backend's name, or the backend's "handler"
		Request: &admissionv1.AdmissionRequest{Object: []byte(object)},
	}, grpc.WaitForReady(true))
	if err != nil {
		panic(err)
	}
	for _, op := range answer.GetOperations() {
		fmt.Println(op.GetOp(), op.GetPath(), string(op.GetValue()))
	}
}
