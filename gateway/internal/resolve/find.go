package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// findings is what the slices of a service say.
type findings struct {
	replicas []netip.AddrPort
	notReady int
	slices   int
	ports    []string // the names of the ports in slices that lack the one that was asked for
}

// find reads the slices of s for its replicas. An endpoint that is in several slices, as one that is being moved
// may be, is found as often.
func (s service) find(all []*discoveryv1.EndpointSlice) findings {
	f := findings{slices: len(all)}
	for _, slice := range all {
		if slice.AddressType != discoveryv1.AddressTypeIPv4 && slice.AddressType != discoveryv1.AddressTypeIPv6 {
			continue
		}
		port, ok := s.portIn(slice)
		if !ok {
			f.ports = append(f.ports, names(slice.Ports)...)
			continue
		}
		for i := range slice.Endpoints {
			endpoint := &slice.Endpoints[i]
			if ready := endpoint.Conditions.Ready; ready != nil && !*ready {
				f.notReady++
				continue
			}
			if len(endpoint.Addresses) == 0 {
				continue
			}
			// The first is the one to use; the API has no meaning for others.
			if address, err := netip.ParseAddr(endpoint.Addresses[0]); err == nil {
				f.replicas = append(f.replicas, netip.AddrPortFrom(address, port))
			}
		}
	}
	return f
}

// portIn returns the number of the service's port in slice.
func (s service) portIn(slice *discoveryv1.EndpointSlice) (uint16, bool) {
	if number, err := portNumber(s.port); err == nil {
		return number, true
	}
	for _, port := range slice.Ports {
		if port.Name != nil && *port.Name == s.port && port.Port != nil && *port.Port > 0 && *port.Port <= 65535 {
			return uint16(*port.Port), true
		}
	}
	return 0, false
}

func names(ports []discoveryv1.EndpointPort) []string {
	var names []string
	for _, port := range ports {
		if port.Name != nil && *port.Name != "" {
			names = append(names, *port.Name)
		}
	}
	return names
}

// why says why there are no replicas, to somebody who has to do something about it.
func (f findings) why(s service) error {
	switch {
	case f.slices == 0:
		return fmt.Errorf("service %s has no EndpointSlice: does the service exist, and has it a selector?", s)
	case f.notReady == 0 && len(f.ports) > 0:
		slices.Sort(f.ports)
		return fmt.Errorf("service %s has no port called %q; it has %s", s, s.port, strings.Join(slices.Compact(f.ports), ", "))
	default:
		return fmt.Errorf("service %s has no ready endpoint (%d not ready)", s, f.notReady)
	}
}
