package identity_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
)

func askVersion(t *testing.T, patience time.Duration, answer http.HandlerFunc) func() (string, error) {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		info, err := identity.AskVersion(client)(ctx)
		if err != nil {
			return "", err
		}
		return info.GitVersion, nil
	}
}

func TestAskVersion(t *testing.T) {
	got, err := askVersion(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			fmt.Fprint(w, `{"gitVersion":"v1.31.9"}`)
		}
	})()
	if err != nil || got != "v1.31.9" {
		t.Errorf("the version is %q, %v, want v1.31.9", got, err)
	}
}

func TestAskVersionEndsWithItsCaller(t *testing.T) {
	_, err := askVersion(t, 200*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })()
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("error %v, want FailedPrecondition", err)
	}
}
