package edge

import (
	"fmt"
	"net/netip"

	"hedgerow/edge/subnet"
)

// Lengths of the prefix of a lease. A shorter one is most of a register's block or
// the internet; in a longer one there is nobody else.
const (
	shortestLease = 8
	longestLease  = 30
)

// AddressFault says why no host can have an IPv4 address with its prefix length, in
// words that follow the address; empty: one can. The command line and leases are
// held to it alike.
func AddressFault(p netip.Prefix) string {
	const wholeLinks = 31 // from here on every address is a host's (RFC 3021)
	a := p.Addr()
	switch {
	case !p.IsValid(), !a.Is4(), a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is not an address that a host can have"
	case p.Bits() < shortestLease:
		return "covers more than a /8: check the length behind the slash"
	case p.Bits() < wholeLinks && a == p.Masked().Addr():
		return fmt.Sprintf("is the network itself: type a host in it, such as %s", netip.PrefixFrom(a.Next(), p.Bits()))
	case p.Bits() < wholeLinks && !p.Contains(a.Next()):
		return fmt.Sprintf("is the broadcast address of the network: type a host in it, such as %s", netip.PrefixFrom(a.Prev(), p.Bits()))
	}
	return ""
}

// A Network is a network that this host has or routes to.
type Network = subnet.Network

// leaseRules decide which lease an edge takes. A supernode is trusted to hand out
// addresses of the overlay, not to say which part of the internet or of the user's
// own network leads into it: no lease is taken that the user has not typed, or could
// not have meant without typing it.
type leaseRules struct {
	want    Address
	overlap NetworkFinder       // nil: the host's networks are not known
	outside func() []netip.Addr // addresses of the network below; no lease may hold one
}

// fault says why a lease is not taken, as the rest of a sentence that begins with
// the lease and ends with what to type; empty: it is taken.
func (r *leaseRules) fault(lease netip.Prefix) string {
	switch {
	case r.want.Mode == AddressNone:
		return "was not asked for: -a dhcp wants none"
	case r.want.Mode == AddressStatic && lease != r.want.Prefix:
		return fmt.Sprintf("is not the address asked for, static:%s", r.want.Prefix)
	case AddressFault(lease) != "":
		return leaseFault(lease)
	case r.typed(lease):
		return "" // the user knows what the network looks like
	case lease.Bits() > longestLease:
		return "is a network without anybody else: the supernode's pool is wrong"
	case !subnet.OfOverlays(lease):
		return fmt.Sprintf("is no private, shared, documentation or benchmark space: traffic to hosts of the internet would go into the overlay. If the community really uses it type --allow-lease %s", lease.Masked())
	}
	return r.collision(lease)
}

// leaseFault is AddressFault without advice for somebody who types.
func leaseFault(lease netip.Prefix) string {
	switch {
	case lease.Addr().Is4() && lease.Bits() < shortestLease:
		return "covers more than a /8, which no option allows: traffic to most of the internet would go into the overlay"
	case lease.Bits() <= longestLease && lease == lease.Masked():
		return "is a network and no host's address"
	}
	return "is not an address that a host can have"
}

// typed reports whether the user has named the network of a lease.
func (r *leaseRules) typed(lease netip.Prefix) bool {
	asked := r.want.Mode != AddressLease && r.want.Prefix.Masked() == lease.Masked()
	return asked || subnet.Within(lease, r.want.Allow)
}

// collision says with which part of this host's own network a lease collides.
func (r *leaseRules) collision(lease netip.Prefix) string {
	const advice = "Choose another network with -a, have the supernode's operator choose one with --pool, or type --allow-lease %s to take it all the same"
	for _, a := range r.outside() {
		if lease.Contains(a) {
			return fmt.Sprintf("holds %s, which the overlay itself is carried by: its own packets would go into it. "+advice, a, lease.Masked())
		}
	}
	if r.overlap == nil {
		return ""
	}
	if other, ok := r.overlap(lease); ok {
		return fmt.Sprintf("overlaps %s (%s): traffic would go the wrong way. "+advice, other.Interface, other.Prefix, lease.Masked())
	}
	return ""
}
