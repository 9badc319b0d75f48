package address

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/nat64"
)

// Policy says where an edge may send probes, and how large its datagrams are.
// It is shared by all paths of the edge, which read it at every probe: replace
// the slices between two calls, on the goroutine that drives the paths.
type Policy struct {
	// Forbidden are prefixes that lead back into an overlay: the subnets of
	// the TAP device and of its bridge, and every overlay prefix.
	Forbidden []netip.Prefix
	// Inside reports whether packets from this host to an address would go into the
	// overlay now, whatever subnet it is of. Nil: nobody tells.
	Inside func(netip.Addr) bool
	// Missing is the IP version, 4 or 6, that this host has no route to the internet for, nor
	// a NAT64; 0: none is. It explains what is not reached, and forbids nothing.
	Missing int
	// NAT64 is the prefix by which IPv4 addresses are reached; not valid: none. No peer is
	// at an address of it: peers are known by their IPv4 addresses.
	NAT64 nat64.Prefix
	// Supernodes are the supernodes' addresses and ports. A probe there would
	// be a stray packet in a hop session.
	Supernodes []netip.AddrPort
	// Side is the prefix of side addresses, which stand for other transports than
	// the data socket: streams, TURN allocations, further sockets. Such an address
	// means something to this edge alone, so that it is never a candidate, but a packet
	// that came from one may be answered there.
	Side netip.Prefix
	// Outside returns the IP address at the far end of a side address, if there is one.
	// Nil: side addresses have none. What is sent there is counted under it.
	Outside func(side netip.AddrPort) (far netip.AddrPort, ok bool)
	// Payload is the largest UDP payload in bytes that the edge wants to send on a
	// direct path unfragmented.
	Payload int
	// PingLen is the UDP payload in bytes of the shortest packet with one PING that
	// the edge sends.
	PingLen int
	// Keepalive is the longest time between two packets on a path that is in no use
	// which keeps our NATs' mappings open. 0: nobody has found out.
	Keepalive time.Duration
	// Phase is that of the times at which the edge does what need not be done to the
	// second (deadline.Shared). That of each edge is another one, so that edges do not fall
	// into step.
	Phase time.Duration
}

// Next returns when something is to be done next that is done every so often and can wait
// for a while: at the next moment at which everything of that kind is, so that an edge that
// nobody uses is woken once for all of it.
func (p *Policy) Next(now time.Time, every time.Duration) time.Time {
	return deadline.Next(now, every, p.Phase)
}

// OfMissing reports whether an address is one of the IP version that is missing.
func (p *Policy) OfMissing(a netip.Addr) bool {
	return p.Missing == 4 && a.Is4() || p.Missing == 6 && a.Is6()
}

// Target returns the IP address that packets to an address of a peer get to: the far
// end of a side address, or else the address itself.
func (p *Policy) Target(a netip.AddrPort) netip.Addr {
	if p.Outside != nil && p.Side.IsValid() && p.Side.Contains(a.Addr()) {
		if far, ok := p.Outside(a); ok {
			return far.Addr()
		}
	}
	return a.Addr()
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

// notPublic are the ranges that are not reachable from the internet. RFC 6890 has them
// all; those for documentation are left out, which are public in tests.
var notPublic = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' NATs, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), // DS-Lite, RFC 6333
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, and the reserved range above it
}

// Public reports whether an address can be reached from the internet, a NAT in front of
// it left aside.
func Public(a netip.Addr) bool {
	if a.Is4() {
		return !slices.ContainsFunc(notPublic[:], func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !a.Is4In6()
}

// Probeable reports whether probes may be sent to an address on a peer's word:
// ProbeRefusal allows it.
func (p *Policy) Probeable(a netip.AddrPort) bool { return p.ProbeRefusal(a) == Allowed }

// ProbeRefusal returns why no probes may be sent to an address on a peer's word, or
// Allowed. Only authenticated peers name candidates, but a peer may be hostile:
// ports below 1024, and those of protocols that amplify or that routers rewrite, are
// never probed, nor is an address that no peer can have. A link-local IPv6
// address needs a zone, which no message carries, so that only discovery on the
// LAN itself can bring one.
func (p *Policy) ProbeRefusal(a netip.AddrPort) Refusal {
	if r := p.anyPort(a); r != Allowed {
		return r
	}
	if !ProbeablePort(a.Port()) {
		return RefusedPort
	}
	return Allowed
}

// PrimerRefusal returns why no primers may be sent to an address at which a
// supernode saw the peer, or Allowed. Primers end before they get there, so that
// the port does not matter.
func (p *Policy) PrimerRefusal(a netip.AddrPort) Refusal {
	if a.Addr().Is4() {
		return p.anyPort(a)
	}
	return p.ProbeRefusal(a)
}

// ReplyRefusal returns why no probes may be sent to an address that an
// authenticated packet of the peer came from, or Allowed. A NAT may give the peer
// any port, and side addresses are those of our own transports.
func (p *Policy) ReplyRefusal(a netip.AddrPort) Refusal {
	if r := p.anyPort(a); r != RefusedSide {
		return r
	}
	return Allowed
}

// serverPorts are the ports below LowestPort at which TURN servers are (RFC 8656,
// section 3.1; 80 and 443 for firewalls).
var serverPorts = [...]uint16{80, 443}

// ServerRefusal returns why no requests may be sent to a server at an address on the
// word of another server, which is at from, or Allowed. A server on the internet names
// none on a private network or on this host: it cannot know it, and the edge would knock
// there for it.
func (p *Policy) ServerRefusal(a netip.AddrPort, from netip.Addr) Refusal {
	ip := a.Addr()
	if ip.IsLoopback() && from.IsLoopback() && a.Port() != 0 {
		return Allowed
	}
	switch r := p.anyPort(a); {
	case r != Allowed:
		return r
	case ip.IsPrivate() && !from.IsPrivate() && !from.IsLoopback():
		return RefusedReserved
	case a.Port() < LowestPort && !slices.Contains(serverPorts[:], a.Port()):
		return RefusedPort
	}
	return Allowed
}

// anyPort returns why a peer cannot be at an address, whatever its port.
func (p *Policy) anyPort(a netip.AddrPort) Refusal {
	ip := a.Addr()
	switch {
	case !a.IsValid() || ip.Is4In6():
		return RefusedInvalid
	case p.Side.IsValid() && p.Side.Contains(ip):
		return RefusedSide
	case a.Port() == 0:
		return RefusedInvalid
	case isReserved(ip), p.NAT64.Contains(ip):
		return RefusedReserved
	case slices.ContainsFunc(p.Forbidden, func(f netip.Prefix) bool { return f.Contains(ip.WithZone("")) }):
		return RefusedOverlay
	case slices.Contains(p.Supernodes, a):
		return RefusedSupernode
	case p.Inside != nil && p.Inside(ip): // last, since it may ask the kernel
		return RefusedOverlay
	}
	return Allowed
}

// isReserved reports whether no peer can have an address.
func isReserved(ip netip.Addr) bool {
	if ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() {
		return true
	}
	if ip.Is4() {
		return slices.ContainsFunc(reserved4[:], func(r netip.Prefix) bool { return r.Contains(ip) })
	}
	return ip.IsLinkLocalUnicast() && ip.Zone() == "" || nat64.WellKnown.Contains(ip)
}

// unprobedPorts are ports of protocols that amplify or that routers rewrite.
var unprobedPorts = [...]uint16{
	1701,       // L2TP
	1719, 1720, // H.323
	1900,       // SSDP
	3478,       // STUN
	5060, 5061, // SIP
	5353,  // mDNS
	11211, // memcached
}

// ProbeablePort reports whether probes may be sent to a port on a peer's word: it
// is at least LowestPort, and none of a protocol that amplifies or that routers
// rewrite.
func ProbeablePort(port uint16) bool {
	return port >= LowestPort && !slices.Contains(unprobedPorts[:], port)
}
