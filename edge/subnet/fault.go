package subnet

import (
	"fmt"
	"net/netip"
	"slices"
)

// The shortest prefixes of a network in bits: what is shorter is most of the internet.
const (
	shortest4 = 8
	shortest6 = 16
)

// nobodys is space of which no part is behind a router: "this network" (RFC 1122, section
// 3.2.1.3), loopback, link-local (RFC 3927; RFC 4291, section 2.5.6), groups and reserved.
var nobodys = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/8"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
}

// overlays is space of which no part belongs to a host of the internet, so that a network
// in it may be an overlay's, or behind one of its edges, without the user's word: private
// (RFC 1918), shared (RFC 6598), documentation (RFC 5737, RFC 3849), benchmarking (RFC
// 2544) and unique local (RFC 4193). Link-local space is not in it: every link has it.
var overlays = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("2001:db8::/32"),
}

// OfOverlays reports whether a network is wholly in space of which no part belongs to a
// host of the internet.
func OfOverlays(p netip.Prefix) bool { return Within(p, overlays) }

// Within reports whether a network is wholly in one of a list.
func Within(p netip.Prefix, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(l netip.Prefix) bool { return l.Bits() <= p.Bits() && l.Contains(p.Addr()) })
}

// IsDefault reports whether a network is everything of its family.
func IsDefault(p netip.Prefix) bool { return p.IsValid() && p.Bits() == 0 }

// Fault says why no edge can have a network behind it, in words that follow the network;
// empty: one can. It knows nothing of default routes, which are a matter of their own.
func Fault(p netip.Prefix) string {
	shortest := shortest4
	if p.Addr().Is6() {
		shortest = shortest6
	}
	switch {
	case !p.IsValid() || p.Addr().Zone() != "" || p.Addr().Is4In6():
		return "is not a network such as 192.168.7.0/24"
	case p != p.Masked():
		return fmt.Sprintf("is a host in a network: the network is %s", p.Masked())
	case p.Bits() < shortest:
		return fmt.Sprintf("is most of the internet: a network has a length of %d bits or more", shortest)
	case slices.ContainsFunc(nobodys, p.Overlaps):
		return "has addresses that nobody routes: loopback, link-local, multicast or reserved ones"
	}
	return ""
}

// A Network is a network that this host has or routes to.
type Network struct {
	Interface string       // by which it is reached
	Prefix    netip.Prefix // masked
}

// Host is what of this host no network behind another edge may share.
type Host struct {
	Overlay   []netip.Prefix // networks of the device: the community's
	Announced []netip.Prefix // networks behind this edge
	Networks  []Network      // that this host has or routes to, but for the device
	Underlay  []netip.Addr   // addresses that the overlay itself is carried by
}

// Fault says why a network cannot be behind another edge, in words that follow the
// network; empty: it can.
func (h *Host) Fault(p netip.Prefix) string {
	for _, a := range h.Underlay {
		if p.Contains(a.WithZone("")) {
			return fmt.Sprintf("holds %s, which the overlay itself is carried by: its own packets would go into it", a)
		}
	}
	if slices.ContainsFunc(h.Overlay, p.Overlaps) {
		return "overlaps the community's own network"
	}
	if slices.ContainsFunc(h.Announced, p.Overlaps) {
		return "overlaps a network that is behind this edge"
	}
	for _, n := range h.Networks {
		if p.Overlaps(n.Prefix) {
			return fmt.Sprintf("overlaps %s (%s) of this host", n.Interface, n.Prefix)
		}
	}
	return ""
}
