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

// proxied reports whether what comes from a source came by a stream through a reverse
// proxy: one on this host or near, by which many come.
func proxied(from netip.AddrPort, source netip.Addr) bool {
	return transport.IsSide(from.Addr()) && private(source)
}

// proxyShare is how many times as much as one source all have that come by reverse
// proxies, or by the front: in the tables, and of newcomers.
const proxyShare = 16

// proxies is the address by which all are counted that come by reverse proxies, for what
// outlives a stream. It is a side address, and so of nobody else.
var proxies = transport.SidePrefix().Addr()

// lastingSource returns the address by which is counted what outlives a stream.
func lastingSource(from netip.AddrPort, source netip.Addr) netip.Addr {
	if proxied(from, source) {
		return proxies
	}
	return source
}

// underlayAddr returns an address as edges are told it: a UDP address as it is, and
// none for a stream.
func underlayAddr(a netip.AddrPort) netip.AddrPort {
	if transport.IsSide(a.Addr()) {
		return netip.AddrPort{}
	}
	return a
}
