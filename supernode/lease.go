package supernode

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// hostBits bounds the part of a network that chooseAddress leases from.
const hostBits = 20

// shortestNetwork is the shortest prefix of a network that an address is leased in: a
// shorter one is no network of one site, and an edge would route half the internet into
// it.
const shortestNetwork = 8

// notUnicast is the space that holds no unicast addresses of hosts: "this network",
// loopback, multicast and what is reserved (RFC 6890, RFC 4291). A network that
// overlaps it is leased to nobody.
var notUnicast = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/8"), // with the unspecified one, loopback and IPv4-mapped ones
	netip.MustParsePrefix("ff00::/8"),
}

// defaultPools is where the pools of communities come from: every community
// has one /18 of it, chosen by its id, so that a host in several communities
// rarely sees an overlap.
var defaultPools = netip.MustParsePrefix("10.64.0.0/10")

const (
	defaultPoolBits = 18
	// coreBits is the length of the core of a default pool, which is leased first: it was
	// all of the pool once, so whoever has an address with that length reaches all members
	// while there are no more than 4094.
	coreBits = 20
)

// poolOf returns the pool of a community: the configured one, which has no core, or its
// own /18.
func poolOf(configured netip.Prefix, cid [16]byte) (pool, core netip.Prefix) {
	if configured.IsValid() {
		return configured, core
	}
	return defaultPool(cid, defaultPoolBits), defaultPool(cid, coreBits)
}

// defaultPool returns the part of defaultPools, of a length, that the first bits of an id
// choose: one of a greater length lies in that of a smaller one.
func defaultPool(cid [16]byte, bits int) netip.Prefix {
	base := defaultPools.Addr().As4()
	n := uint32(binary.BigEndian.Uint16(cid[:2])) >> (16 - (bits - defaultPools.Bits()))
	binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])|n<<(32-bits))
	return netip.PrefixFrom(netip.AddrFrom4(base), bits)
}

// unicastNetwork reports whether p is a network whose addresses are all those of hosts.
func unicastNetwork(p netip.Prefix) bool {
	if !p.IsValid() || p.Bits() < shortestNetwork {
		return false
	}
	for _, space := range notUnicast {
		if space.Overlaps(p) {
			return false
		}
	}
	return true
}

// leasable reports whether p is an address that a host may have in its own
// network: not the network's address and not its broadcast address.
func leasable(p netip.Prefix) bool {
	if !unicastNetwork(p) {
		return false
	}
	if !p.Addr().Is4() || p.Bits() >= 31 { // RFC 3021: a /31 has no broadcast address
		return true
	}
	b := p.Addr().As4()
	host := binary.BigEndian.Uint32(b[:]) & (1<<(32-p.Bits()) - 1)
	return host != 0 && host != 1<<(32-p.Bits())-1
}

// chooseAddress returns the first address of network that is not taken. It begins
// at a number that follows from the owner's identity alone, so that a supernode
// without a store leases most edges the same address again. What it costs depends
// neither on the size of the network nor on how many addresses are taken.
func chooseAddress(network netip.Prefix, owner [32]byte, taken *leased) (netip.Prefix, bool) {
	if !unicastNetwork(network) {
		return netip.Prefix{}, false
	}
	network = network.Masked()
	above, base := split(network.Addr())
	bits := network.Addr().BitLen() - network.Bits()
	size := uint64(1) << min(bits, hostBits)
	first, last := uint64(1), size-1 // without the network's own address
	if network.Addr().Is4() && bits > 1 && bits <= hostBits {
		last-- // and without its broadcast address
	}
	if first > last {
		return netip.Prefix{}, false
	}
	sum := sha256.Sum256(append([]byte("hedgerow/1 lease"), owner[:]...))
	preferred := min(max(binary.BigEndian.Uint64(sum[:8])%size, first), last)
	low, found := taken.next(above, uint64(base)+preferred, uint64(base)+last)
	if !found {
		low, found = taken.next(above, uint64(base)+first, uint64(base)+preferred)
	}
	if !found {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(withLow(network.Addr(), uint32(low)), network.Bits()), true
}

// withLow returns an address with other last four bytes.
func withLow(a netip.Addr, low uint32) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint32(b[12:], low)
	if a.Is4() {
		return netip.AddrFrom16(b).Unmap()
	}
	return netip.AddrFrom16(b)
}
