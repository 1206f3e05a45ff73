// Package resolve finds the replicas of a backend, and the new ones within seconds: by asking DNS again and
// again, or by watching EndpointSlices. gRPC's own DNS resolver asks again only once a connection is lost,
// so that replicas that are added would get no calls.
package resolve

import (
	"net/netip"
	"slices"

	"google.golang.org/grpc/resolver"
)

// channel is a gRPC channel that is told of its replicas. It is used by one goroutine at a time.
type channel struct {
	resolver.ClientConn
	known []netip.AddrPort // in order; nil: none
	why   string           // there are none
}

// set tells the channel its replicas, of which there is at least one, if they are others than before.
func (c *channel) set(replicas []netip.AddrPort) (changed bool) {
	slices.SortFunc(replicas, netip.AddrPort.Compare)
	replicas = slices.Compact(replicas)
	if slices.Equal(c.known, replicas) {
		return false
	}
	c.known, c.why = replicas, ""
	state := resolver.State{}
	for _, replica := range replicas {
		address := resolver.Address{Addr: replica.String()}
		state.Addresses = append(state.Addresses, address)
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{address}})
	}
	_ = c.UpdateState(state) // an error is about an empty state only
	return true
}

// clear tells the channel that there are no replicas, and why, if it does not know: its calls fail with that.
func (c *channel) clear(why error) (changed bool) {
	if c.why == why.Error() {
		return false
	}
	c.known, c.why = nil, why.Error()
	// round_robin keeps its replicas through an error, and with no endpoints at all it says so instead of
	// why. An endpoint without an address takes their place, and the error as its own.
	_ = c.UpdateState(resolver.State{Endpoints: []resolver.Endpoint{{}}}) // the error is that it is empty
	c.ReportError(why)
	return true
}
