package mutatorsvc_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/runtime"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// What the clouds' own webhooks made of pods comes out of the service too, over gRPC.
func TestRecordedAnswersOverGRPC(t *testing.T) {
	for _, profile := range []string{"aws", "azure", "google"} {
		for name, set := range identitytest.Recordings(t, filepath.Join("internal/identity", profile), profile) {
			t.Run(profile+"/"+name, func(t *testing.T) {
				client := serve(t, set)
				for _, r := range set.Pods {
					t.Run(fmt.Sprintf("line %d", r.Line), func(t *testing.T) {
						r.Compare(t, ask(t, client, r.Pod))
					})
				}
			})
		}
	}
}

// serve runs the service with the configuration of a set, in a cluster with its ServiceAccounts.
func serve(t *testing.T, set *identitytest.Set) admissionv1.MutatorServiceClient {
	t.Helper()
	var accounts []runtime.Object
	for _, r := range set.Pods {
		if account := r.Account(); account != nil {
			accounts = append(accounts, account)
		}
	}
	known, err := cluster.FromObjects(accounts...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &mutatorsvc.Config{Identity: set.Config}
	cfg.SetDefaults()
	listener := sdktest.Listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- mutatorsvc.Run(ctx, mutatorsvc.Options{Config: cfg, Cluster: known, Listener: listener, Telemetry: telemetry.Discard()})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return admissionv1.NewMutatorServiceClient(sdktest.Dial(t, listener))
}

func ask(t *testing.T, client admissionv1.MutatorServiceClient, pod []byte) identitytest.Answer {
	t.Helper()
	response, err := client.Mutate(t.Context(), &admissionv1.MutateRequest{
		Handler: mutatorsvc.Identity, Request: identitytest.Request(pod).AdmissionRequest,
	}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	return identitytest.Answer{
		Object: sdktest.Apply(t, pod, response.GetOperations()), Operations: response.GetOperations(),
		Warnings: response.GetWarnings(), Denial: response.GetDenial(),
	}
}
