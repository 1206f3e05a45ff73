package e2e

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/tlsfile"
)

// rogue is a mutator whose patches kube-apiserver would answer with 500 under any failure policy.
type rogue struct {
	admissionv1.UnimplementedMutatorServiceServer
}

// Mutate changes what is being deleted, and otherwise replaces what is not there.
func (rogue) Mutate(_ context.Context, req *admissionv1.MutateRequest) (*admissionv1.MutateResponse, error) {
	operation := &admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_REPLACE, Path: "/spec/absent/deep", Value: []byte(`1`)}
	if req.GetRequest().GetOperation() == admissionv1.Operation_OPERATION_DELETE {
		operation = &admissionv1.PatchOperation{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/metadata/labels/late", Value: []byte(`"yes"`)}
	}
	return &admissionv1.MutateResponse{Operations: []*admissionv1.PatchOperation{operation}}, nil
}

func (w *world) startRogue(t *testing.T) string {
	t.Helper()
	pair := must(w.pki.Server("rogue"))(t)
	config := must(tlsfile.NewServer(tlsfile.ServerConfig{
		CertFile: pair.CertFile, KeyFile: pair.KeyFile, ClientCAFile: w.pki.CAFile, Subjects: []string{"gateway"},
	}))(t).Config()
	listener := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	admissionv1.RegisterMutatorServiceServer(server, rogue{})
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// testRoguePatch: one team's mistake is that team's. A patch that does not apply, passed on, would be a
// 500 for everybody even where the registration says Ignore.
func testRoguePatch(t *testing.T, w *world, g *gate) {
	t.Run("optional", func(t *testing.T) {
		ns := w.namespace(t, registration{gate: g, labels: map[string]string{"rogue": "optional"}})
		c := w.client(t, nil)
		created := createWidget(t, c, ns, []byte(`{}`))
		if created.Metadata.Labels["stamped-by"] != "gatefold" {
			t.Errorf("the other mutators changed nothing: labels %v", created.Metadata.Labels)
		}
		warnsOf(t, c, "rogue-optional")
		must(c.CoreV1().RESTClient().Delete().AbsPath(widgetsPath + ns + "/widgets/traps").Do(t.Context()).Raw())(t)
		warnsOf(t, c, "rogue-optional")
	})
	t.Run("required", func(t *testing.T) {
		ns := w.namespace(t, registration{gate: g, labels: map[string]string{"rogue": "required"}})
		_, err := postWidget(t, w.client(t, nil), ns, []byte(`{}`))
		status := statusOf(t, err)
		if status.Code != http.StatusInternalServerError {
			t.Errorf("code %d, want 500", status.Code)
		}
		for _, want := range []string{`failed calling webhook "mutate.gatefold.dev"`, "rogue"} {
			if !strings.Contains(status.Message, want) {
				t.Errorf("the error does not say %q, but:\n%s", want, status.Message)
			}
		}
	})
}

func warnsOf(t *testing.T, c *client, backend string) {
	t.Helper()
	if warned := strings.Join(c.warnings.take(), "\n"); !strings.Contains(warned, backend) {
		t.Errorf("no warning names %s; the warnings were:\n%s", backend, warned)
	}
}
