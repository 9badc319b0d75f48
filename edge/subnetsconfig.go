package edge

import (
	"fmt"
	"net/netip"

	"hedgerow/edge/subnet"
	"hedgerow/protocol"
)

// Subnets says which IP networks are behind this edge, and which behind others it sends
// packets to.
type Subnets struct {
	// Announce are networks to which this host forwards packets, at most
	// protocol.MaxRoutes; 0.0.0.0/0 and ::/0 say that it is a gateway to the internet.
	Announce []netip.Prefix
	// Accept says which networks behind others are accepted.
	Accept subnet.Policy
	// Table is where routes to them are set; nil: they are shown, and not used.
	Table RouteTable
}

// validate returns what is wrong.
func (s *Subnets) validate() (faults []error) {
	if n := len(s.Announce); n > protocol.MaxRoutes {
		faults = append(faults, fmt.Errorf("%d networks behind an edge are more than %d", n, protocol.MaxRoutes))
	}
	for _, n := range s.Announce {
		if why := subnet.Fault(n); why != "" && !subnet.IsDefault(n) {
			faults = append(faults, fmt.Errorf("%s %s", n, why))
		}
	}
	return faults
}

// RouteTable is the part of this host's routing table that an edge changes. The control
// loop calls its methods, which must not take longer than a few milliseconds.
type RouteTable interface {
	// SetRoutes makes these the only routes by the device that an edge has set, those of
	// an earlier process among them. A default route is set where it alone does not lead
	// the underlay into the overlay.
	SetRoutes(list []subnet.Route) error
	// Networks returns those that this host has or routes to, but for the device's.
	Networks() []subnet.Network
}
