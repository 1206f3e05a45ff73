package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testUnreadyService: whoever is kept from creating a pod, because a backend's Service has no replica that
// is ready, is told that, and what the gate sees of the Service follows kube-apiserver.
func testUnreadyService(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{gate: g, labels: map[string]string{"absent": "unready"}})
	c := w.client(t, nil)
	says := func(want string) {
		t.Helper()
		eventually(t, func() error {
			_, err := c.createPod(t, ns, pod("unlucky"))
			var refused apierrors.APIStatus
			if !errors.As(err, &refused) {
				return fmt.Errorf("got %w, want an answer of kube-apiserver", err)
			}
			status := refused.Status()
			if status.Code != http.StatusInternalServerError || !strings.Contains(status.Message, want) {
				return fmt.Errorf("code %d, want 500 saying %q:\n%s", status.Code, want, status.Message)
			}
			return nil
		})
	}
	says("service default/unready has no EndpointSlice")

	name, port, no := "grpc", int32(9443), false
	slices := c.DiscoveryV1().EndpointSlices("default")
	must(slices.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "unready", Labels: map[string]string{discoveryv1.LabelServiceName: "unready"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{ // of addresses for documentation, which are never called
			{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
			{Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
		},
	}, metav1.CreateOptions{}))(t)
	t.Cleanup(func() {
		if err := slices.Delete(context.WithoutCancel(t.Context()), "unready", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	says("service default/unready has no ready endpoint (2 not ready)")
	absent(t, c, ns, "unlucky")
}
