package sdk_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
)

func authority(t *testing.T, name string) *throwaway.CA {
	t.Helper()
	ca, err := throwaway.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// secureListen writes a server's files into dir, over those that are there, and names them.
func secureListen(t *testing.T, dir string, servers, clients *throwaway.CA) config.Listen {
	t.Helper()
	pair, err := servers.Server("svc")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := pair.Write(dir, "server")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := clients.Write(dir, "clients")
	if err != nil {
		t.Fatal(err)
	}
	return config.Listen{
		TLS:        &config.TLS{CertFile: cert, KeyFile: key},
		ClientAuth: &config.ClientAuth{CAFile: ca, Subjects: []string{"gatefold-gateway"}},
	}
}

func clientTLS(t *testing.T, servers, clients *throwaway.CA, subject string) credentials.TransportCredentials {
	t.Helper()
	cfg := &tls.Config{RootCAs: servers.Pool(), ServerName: "svc"}
	if clients != nil {
		pair, err := clients.Client(subject)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := pair.TLS()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return credentials.NewTLS(cfg)
}

func TestServeLetsInOnlyItsClients(t *testing.T) {
	t.Parallel()
	first, second, stranger := authority(t, "first"), authority(t, "second"), authority(t, "stranger")
	dir := t.TempDir()
	listen := secureListen(t, dir, first, first)
	listener := sdktest.Listen(t)
	var asked atomic.Int32
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- sdk.Serve(ctx, sdk.Config{
			Listen: listen, Listener: listener, Telemetry: telemetry.Discard(),
			Mutators: map[string]sdk.Mutator{"": sdk.MutatorFunc(func(_ context.Context, req *sdk.Request) (*sdk.Mutation, error) {
				if req.GetUid() != "self-test" {
					asked.Add(1)
				}
				return nil, nil
			})},
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	call := func(creds credentials.TransportCredentials) error {
		conn := sdktest.Dial(t, listener, grpc.WithTransportCredentials(creds))
		defer conn.Close()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := admissionv1.NewMutatorServiceClient(conn).Mutate(ctx, &admissionv1.MutateRequest{Request: sdktest.PodRequest(t, pod)})
		return err
	}

	refused := map[string]credentials.TransportCredentials{
		"without a certificate":     clientTLS(t, first, nil, ""),
		"of a stranger's authority": clientTLS(t, first, stranger, "gatefold-gateway"),
		"with another subject":      clientTLS(t, first, first, "somebody"),
	}
	for name, creds := range refused {
		if err := call(creds); status.Code(err) != codes.Unavailable {
			t.Errorf("a client %s: got %v, want UNAVAILABLE", name, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("%d calls of refused clients reached the handler", asked.Load())
	}
	if err := call(clientTLS(t, first, first, "gatefold-gateway")); err != nil {
		t.Fatalf("the gate itself: %v", err)
	}

	// All files change, as when the authority is replaced; nothing is restarted.
	secureListen(t, dir, second, second)
	for end := time.Now().Add(4 * tlsfile.DefaultInterval); ; time.Sleep(50 * time.Millisecond) {
		err := call(clientTLS(t, second, second, "gatefold-gateway"))
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the changed certificates were not taken up: %v", err)
		}
	}
	if err := call(clientTLS(t, second, first, "gatefold-gateway")); status.Code(err) != codes.Unavailable {
		t.Errorf("a client of the authority that was replaced: got %v, want UNAVAILABLE", err)
	}
}
