package supernode

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/transport"
)

// sourceTable is how many buckets all sources share.
const sourceTable = 65536

// sourceBytes returns what a cookie is bound to: address and port.
func sourceBytes(from netip.AddrPort) (b [18]byte) {
	a := from.Addr().As16()
	copy(b[:], a[:])
	binary.BigEndian.PutUint16(b[16:], from.Port())
	return b
}

// initSource returns the address by which INITs are counted: the source, except for
// streams that come by a reverse proxy, which share one. Each of those is counted
// by its number, put where an IPv6 address has its network. Their number is bounded,
// and a proxy that is open to everybody has limits of its own.
func initSource(from netip.AddrPort, source netip.Addr) netip.Addr {
	if !transport.IsSide(from.Addr()) || !source.IsPrivate() && !source.IsLoopback() && !source.IsLinkLocalUnicast() {
		return source
	}
	b := from.Addr().As16()
	var own [16]byte
	copy(own[:8], b[8:])
	return netip.AddrFrom16(own)
}

// underlayAddr returns an address as edges are told it: a UDP address as it is, and
// none for a stream.
func underlayAddr(a netip.AddrPort) netip.AddrPort {
	if transport.IsSide(a.Addr()) {
		return netip.AddrPort{}
	}
	return a
}
