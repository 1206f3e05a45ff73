package resolve

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/resolver"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// slice returns an EndpointSlice of service mutators in namespace gatefold. An endpoint is an address, with
// ! after it when it is not ready, ? when it does not say.
func slice(name, port string, endpoints ...string) *discoveryv1.EndpointSlice {
	number := int32(9443)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "gatefold", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "mutators"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
	}
	for _, e := range endpoints {
		ready := !strings.HasSuffix(e, "!")
		endpoint := discoveryv1.Endpoint{Addresses: []string{strings.TrimRight(e, "!?")}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
		if strings.HasSuffix(e, "?") {
			endpoint.Conditions.Ready = nil
		}
		s.Endpoints = append(s.Endpoints, endpoint)
	}
	return s
}

func typed(s *discoveryv1.EndpointSlice, kind discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	s.AddressType = kind
	return s
}

func TestFind(t *testing.T) {
	tests := map[string]struct {
		port   string
		slices []*discoveryv1.EndpointSlice
		want   string // addresses, or the error
	}{
		"a number":         {"1234", []*discoveryv1.EndpointSlice{slice("a", "grpc", "192.0.2.1")}, "192.0.2.1:1234"},
		"a name":           {"grpc", []*discoveryv1.EndpointSlice{slice("a", "grpc", "192.0.2.1")}, "192.0.2.1:9443"},
		"says nothing":     {"1", []*discoveryv1.EndpointSlice{slice("a", "grpc", "192.0.2.1?")}, "192.0.2.1:1"},
		"one is not ready": {"1", []*discoveryv1.EndpointSlice{slice("a", "grpc", "192.0.2.1!", "192.0.2.2")}, "192.0.2.2:1"},
		"split": {"1", []*discoveryv1.EndpointSlice{
			slice("a", "grpc", "192.0.2.1", "192.0.2.2"), slice("b", "grpc", "192.0.2.3"),
		}, "192.0.2.1:1 192.0.2.2:1 192.0.2.3:1"},
		"both families": {"1", []*discoveryv1.EndpointSlice{
			slice("a", "grpc", "192.0.2.1"), typed(slice("b", "grpc", "2001:db8::1"), discoveryv1.AddressTypeIPv6),
		}, "192.0.2.1:1 [2001:db8::1]:1"},
		"names": {"1", []*discoveryv1.EndpointSlice{
			typed(slice("a", "grpc", "elsewhere.example"), discoveryv1.AddressTypeFQDN),
		}, "service gatefold/mutators has no ready endpoint (0 not ready)"},
		"none is ready": {"grpc", []*discoveryv1.EndpointSlice{
			slice("a", "grpc", "192.0.2.1!"), slice("b", "grpc", "192.0.2.2!"),
		}, "service gatefold/mutators has no ready endpoint (2 not ready)"},
		"nothing": {"1", nil, "service gatefold/mutators has no EndpointSlice: does the service exist, and has it a selector?"},
		"another name": {"rpc", []*discoveryv1.EndpointSlice{
			slice("a", "metrics", "192.0.2.1"), slice("b", "grpc", "192.0.2.1"),
		}, `service gatefold/mutators has no port called "rpc"; it has grpc, metrics`},
		"ports differ by slice": {"grpc", []*discoveryv1.EndpointSlice{
			slice("a", "metrics", "192.0.2.1"), slice("b", "grpc", "192.0.2.2"),
		}, "192.0.2.2:9443"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := service{namespace: "gatefold", name: "mutators", port: test.port}
			f := s.find(test.slices)
			var got []string
			for _, replica := range f.replicas {
				got = append(got, replica.String())
			}
			if len(got) == 0 {
				got = []string{f.why(s).Error()}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEndpointSlicesAreFollowed(t *testing.T) {
	other := slice("other", "grpc", "192.0.2.99")
	other.Labels[discoveryv1.LabelServiceName] = "validators"
	client := fake.NewClientset(slice("a", "grpc", "192.0.2.2", "192.0.2.1"), slice("b", "grpc", "192.0.2.1"), other)
	r, l := build(t, EndpointSlices(client, nil), "k8s:///mutators.gatefold:grpc")
	defer r.Close()
	api := client.DiscoveryV1().EndpointSlices("gatefold")
	change := func(s *discoveryv1.EndpointSlice) {
		t.Helper()
		if _, err := api.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	last := func(addresses ...string) {
		t.Helper()
		eventually(t, "the replicas are "+strings.Join(addresses, ", "), func() bool {
			states, _ := l.told()
			return len(states) > 0 && slices.Equal(states[len(states)-1], addresses)
		})
	}
	last("192.0.2.1:9443", "192.0.2.2:9443")
	change(slice("b", "grpc", "192.0.2.3")) // two slices, three replicas
	last("192.0.2.1:9443", "192.0.2.2:9443", "192.0.2.3:9443")
	change(slice("a", "grpc", "192.0.2.1!", "192.0.2.2"))
	last("192.0.2.2:9443", "192.0.2.3:9443")
	if err := api.Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	last("192.0.2.2:9443")
	change(slice("a", "grpc", "192.0.2.1!", "192.0.2.2!"))
	last()
	if err := api.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two errors", func() bool { _, errs := l.told(); return len(errs) == 2 })
	if _, err := api.Create(t.Context(), slice("c", "grpc", "192.0.2.7"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	last("192.0.2.7:9443")
	l.want(t, "in the end", [][]string{
		{"192.0.2.1:9443", "192.0.2.2:9443"},
		{"192.0.2.1:9443", "192.0.2.2:9443", "192.0.2.3:9443"},
		{"192.0.2.2:9443", "192.0.2.3:9443"},
		{"192.0.2.2:9443"},
		{},
		{},
		{"192.0.2.7:9443"},
	}, []string{
		"service gatefold/mutators has no ready endpoint (2 not ready)",
		"service gatefold/mutators has no EndpointSlice: does the service exist, and has it a selector?",
	})
}

func TestEndpointSlicesForbidden(t *testing.T) {
	client := fake.NewClientset(slice("a", "grpc", "192.0.2.1"))
	why := apierrors.NewForbidden(schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}, "", errors.New("the gate may not list"))
	client.PrependReactor("list", "endpointslices", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, why })
	r, l := build(t, EndpointSlices(client, nil), "k8s:///mutators.gatefold:9443")
	eventually(t, "an error", func() bool { _, errs := l.told(); return len(errs) > 0 })
	r.Close()
	states, errs := l.told()
	want := "finding the replicas of service gatefold/mutators: failed to list *v1.EndpointSlice: endpointslices.discovery.k8s.io is forbidden: the gate may not list"
	if len(states) > 0 || errs[0] != want {
		t.Errorf("states %v, errors %q; want only %q", states, errs, want)
	}
}

func TestServiceTargets(t *testing.T) {
	for _, to := range []string{
		"k8s:///mutators.gatefold", "k8s:///mutators:9443", "k8s://mutators.gatefold:9443", "k8s://mutators.gatefold/:9443",
		"k8s:///mutators.gatefold.svc:9443", "k8s:///.gatefold:9443", "k8s:///mutators.gatefold:", "k8s:///",
	} {
		_, err := EndpointSlices(fake.NewClientset(), nil).Build(target(t, to), &listener{}, resolver.BuildOptions{})
		if err == nil || !strings.Contains(err.Error(), "this is not k8s:///SERVICE.NAMESPACE:PORT") {
			t.Errorf("%s: got error %v", to, err)
		}
	}
}
