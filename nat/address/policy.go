package address

import "net/netip"

// Policy says where an edge may send probes, and how large its datagrams are.
// It is shared by all paths of the edge, which read it at every probe: replace
// the slices between two calls, on the goroutine that drives the paths.
type Policy struct {
	// Forbidden are prefixes that lead back into an overlay: the subnets of
	// the TAP device and of its bridge, and every overlay prefix.
	Forbidden []netip.Prefix
	// Supernodes are the supernodes' addresses and ports. A probe there would
	// be a stray packet in a hop session.
	Supernodes []netip.AddrPort
	// Side are the addresses that stand for other ways than the data socket's:
	// streams, TURN allocations, further sockets. Such an address means
	// something to this edge alone, so that it is never a candidate, but what
	// came from one may be answered there.
	Side netip.Prefix
	// Payload is the largest UDP payload in bytes that the edge wants to send
	// on a direct path unfragmented; 0 means 1417, a full frame of a TAP MTU
	// of 1370.
	Payload int
}

// DefaultPayload is a frame of 1370 bytes of IP and 14 of Ethernet with its 33
// bytes of DATA packet (PROTOCOL.md, section 3).
const DefaultPayload = 1370 + 14 + 33

// WantedPayload returns Payload, or what it means when it is 0.
func (p *Policy) WantedPayload() int {
	if p.Payload > 0 {
		return p.Payload
	}
	return DefaultPayload
}

// reserved4 is IPv4 space that no peer can have: "this network", loopback,
// link-local, and class E with the broadcast address. Multicast is excluded by
// name.
var reserved4 = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// Probeable reports whether probes may be sent to a on a peer's word. Only
// authenticated peers name candidates, but a peer may be hostile: ports below
// 1024, and those of protocols that amplify or that routers rewrite (L2TP, H.323,
// SSDP, STUN, SIP, mDNS, memcached), are never probed, nor is what no peer can
// have as its address. A link-local IPv6 address needs a zone, which no message
// carries, so that only discovery on the link itself can bring one.
func (p *Policy) Probeable(a netip.AddrPort) bool {
	return ProbeablePort(a.Port()) && p.Possible(a)
}

// Possible reports whether a peer can be at a, whatever the port: a NAT may give
// it any.
func (p *Policy) Possible(a netip.AddrPort) bool {
	ip := a.Addr()
	if !a.IsValid() || ip.Is4In6() || a.Port() == 0 {
		return false
	}
	if ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || p.Side.IsValid() && p.Side.Contains(ip) {
		return false
	}
	if ip.Is4() {
		for _, r := range reserved4 {
			if r.Contains(ip) {
				return false
			}
		}
	} else if ip.IsLinkLocalUnicast() && ip.Zone() == "" {
		return false
	}
	for _, f := range p.Forbidden {
		if f.Contains(ip.WithZone("")) {
			return false
		}
	}
	for _, s := range p.Supernodes {
		if s == a {
			return false
		}
	}
	return true
}

// Primable reports whether primers may be sent to an address that a supernode saw
// the peer at. They end before they get there.
func (p *Policy) Primable(a netip.AddrPort) bool {
	return p.Probeable(a) || a.Addr().Is4() && p.Possible(a)
}

// Reachable reports whether probes may be sent to an address that something of the
// peer came from.
func (p *Policy) Reachable(a netip.AddrPort) bool {
	return a.IsValid() && p.Side.IsValid() && p.Side.Contains(a.Addr()) || p.Possible(a)
}

// ProbeablePort reports whether probes may be sent to a port on a peer's word: it
// is at least LowestPort, and none of a protocol that amplifies or that routers
// rewrite.
func ProbeablePort(port uint16) bool {
	switch port {
	case 1701, 1719, 1720, 1900, 3478, 5060, 5061, 5353, 11211:
		return false
	}
	return port >= LowestPort
}
