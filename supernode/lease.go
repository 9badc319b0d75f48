package supernode

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// leaseTime is how long an address and a hardware address stay reserved for
// their owner after its last registration.
const leaseTime = 24 * time.Hour

// hostBits bounds the part of a network in which chooseAddress looks, so that it ends
// in a full /8 or /64.
const hostBits = 20

// defaultPools is where the pools of communities come from: every community
// has one /20 of it, chosen by its id, so that a host in several communities
// rarely sees an overlap.
var defaultPools = netip.MustParsePrefix("10.64.0.0/10")

const defaultPoolBits = 20

// poolOf returns the pool of a community: the configured one, or its own /20.
func poolOf(configured netip.Prefix, cid [16]byte) netip.Prefix {
	if configured.IsValid() {
		return configured
	}
	base := defaultPools.Addr().As4()
	n := uint32(binary.BigEndian.Uint16(cid[:2])) >> (16 - (defaultPoolBits - 10))
	binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])|n<<(32-defaultPoolBits))
	return netip.PrefixFrom(netip.AddrFrom4(base), defaultPoolBits)
}

// leasable reports whether p is an address that a host may have in its own
// network: not the network's address and not its broadcast address.
func leasable(p netip.Prefix) bool {
	a := p.Addr()
	if !p.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6() {
		return false
	}
	if !a.Is4() || p.Bits() >= 31 { // RFC 3021: a /31 has no broadcast address
		return true
	}
	b := a.As4()
	host := binary.BigEndian.Uint32(b[:]) & (1<<(32-p.Bits()) - 1)
	return host != 0 && host != 1<<(32-p.Bits())-1
}

// chooseAddress returns the first address of network that is not in use. It starts
// at a number that follows from the owner's identity alone and goes on one by one,
// so that a supernode without a store leases most edges the same address again.
func chooseAddress(network netip.Prefix, owner [32]byte, inUse func(netip.Addr) bool) (netip.Prefix, bool) {
	network = network.Masked()
	size := uint64(1) << min(network.Addr().BitLen()-network.Bits(), hostBits)
	sum := sha256.Sum256(append([]byte("hedgerow/1 lease"), owner[:]...))
	preferred := binary.BigEndian.Uint64(sum[:8])
	for i := range size {
		p := netip.PrefixFrom(hostAddress(network, (preferred+i)%size), network.Bits())
		if leasable(p) && p.Addr() != network.Addr() && !inUse(p.Addr()) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// hostAddress returns the address with number n in a network; n has at most
// hostBits bits, so it lies within the last four bytes.
func hostAddress(network netip.Prefix, n uint64) netip.Addr {
	b := network.Addr().As16()
	binary.BigEndian.PutUint32(b[12:], binary.BigEndian.Uint32(b[12:])|uint32(n))
	a := netip.AddrFrom16(b)
	if network.Addr().Is4() {
		return a.Unmap()
	}
	return a
}
