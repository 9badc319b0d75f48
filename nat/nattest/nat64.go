package nattest

import (
	"net/netip"

	"hedgerow/nat/nat64"
)

// NAT64 adds a NAT64 (RFC 6146), of which there is one, to the public internet: hosts with
// IPv6 addresses reach IPv4 ones at those of the prefix, and are seen at addr there. b is
// what it does as a NAT. It panics when addr is taken.
func (n *Internet) NAT64(p nat64.Prefix, addr netip.Addr, b Behavior) *Router {
	r := n.Router(addr, b)
	n.mu.Lock()
	defer n.mu.Unlock()
	r.prefix, r.inner = p, n.public
	n.nat64 = r
	return r
}

// translator returns the NAT64 if p is for it, with the IPv4 destination then; else nil.
func (n *Internet) translator(p *packet) *Router {
	if n.nat64 == nil || !p.from.Addr().Is6() {
		return nil
	}
	four, ok := n.nat64.prefix.Extract(p.to.Addr())
	if !ok {
		return nil
	}
	p.to = netip.AddrPortFrom(four, p.to.Port())
	return n.nat64
}

// inward is the source of a packet as hosts inside see it.
func (r *Router) inward(from netip.AddrPort) netip.AddrPort {
	if !r.prefix.IsValid() {
		return from
	}
	return netip.AddrPortFrom(r.prefix.Embed(from.Addr()), from.Port())
}
