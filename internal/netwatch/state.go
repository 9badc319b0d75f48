package netwatch

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// A Route is a default route of the main routing table.
type Route struct {
	// Interface is the index of the interface that it leaves by.
	Interface int
	// Gateway is the next router's address, with the interface's name as its
	// zone when it is link-local. It is the zero Addr for an interface without a
	// router, such as a point-to-point interface.
	Gateway netip.Addr
}

// A State is the part of a host's network that is compared. It contains only
// interfaces that are up, have a carrier, and are not excluded.
type State struct {
	// Routes are the preferred default route of IPv4 and then that of IPv6, of
	// those that there are.
	Routes []Route
	// Addresses are the global unicast addresses that can be sent from, private
	// and unique local ones among them, in ascending order, without duplicates.
	Addresses []netip.Addr
}

// Equal reports whether the states are the same.
func (s State) Equal(t State) bool {
	return slices.Equal(s.Routes, t.Routes) && slices.Equal(s.Addresses, t.Addresses)
}

// A Change is from one state to a different one.
type Change struct {
	Before, After State
}

// A reading is the system's description of its network, from which a State is
// made.
type reading struct {
	interfaces map[int]string // the names of those that are up and have a carrier
	addresses  []placed
	routes     []candidate
}

// placed is an address of an interface.
type placed struct {
	ifindex int
	addr    netip.Addr
}

// candidate is a default route. That of the lowest metric is preferred.
type candidate struct {
	Route
	ipv6   bool
	metric int
}

// state leaves out what is not compared and sorts the rest.
func (r *reading) state(exclude func(ifname string) bool) State {
	interfaces := maps.Clone(r.interfaces)
	if exclude != nil {
		maps.DeleteFunc(interfaces, func(_ int, name string) bool { return exclude(name) })
	}
	var s State
	for _, a := range r.addresses {
		if _, counts := interfaces[a.ifindex]; counts && a.addr.IsGlobalUnicast() {
			s.Addresses = append(s.Addresses, a.addr)
		}
	}
	slices.SortFunc(s.Addresses, netip.Addr.Compare)
	s.Addresses = slices.Compact(s.Addresses)

	for _, ipv6 := range []bool{false, true} {
		if c := r.preferred(ipv6, interfaces); c != nil {
			s.Routes = append(s.Routes, c.Route)
		}
	}
	return s
}

// preferred returns the default route of a family by one of the interfaces, or
// nil.
func (r *reading) preferred(ipv6 bool, interfaces map[int]string) (best *candidate) {
	for i := range r.routes {
		c := &r.routes[i]
		name, counts := interfaces[c.Interface]
		if !counts || c.ipv6 != ipv6 || best != nil && !c.before(best) {
			continue
		}
		if best = c; c.Gateway.Is6() && c.Gateway.IsLinkLocalUnicast() {
			c.Gateway = c.Gateway.WithZone(name)
		}
	}
	return best
}

// before reports whether c is preferred. Between routes of one metric the order
// in which the system names them must not matter.
func (c *candidate) before(d *candidate) bool {
	return cmp.Or(
		cmp.Compare(c.metric, d.metric),
		cmp.Compare(c.Interface, d.Interface),
		c.Gateway.Compare(d.Gateway),
	) < 0
}
