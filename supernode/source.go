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
	return transport.IsSide(from.Addr()) && (source.IsPrivate() || source.IsLoopback() || source.IsLinkLocalUnicast())
}

// initSource returns the address by which INITs and HELLOs are counted: the source,
// except for streams that come by a reverse proxy, which share one. Each of those is
// counted by its number, put where an IPv6 address has its network. Their number is
// bounded, and a proxy that is open to everybody has limits of its own.
func initSource(from netip.AddrPort, source netip.Addr) netip.Addr {
	if !proxied(from, source) {
		return source
	}
	b := from.Addr().As16()
	var own [16]byte
	copy(own[:8], b[8:])
	return netip.AddrFrom16(own)
}

// proxyShare is how many times as much as one source all have that come by reverse
// proxies: in the tables, and of newcomers.
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

// sourcesIn returns for how many sources an address counts.
func sourcesIn(a netip.Addr) int {
	if a == proxies {
		return proxyShare
	}
	return 1
}

// underlayAddr returns an address as edges are told it: a UDP address as it is, and
// none for a stream.
func underlayAddr(a netip.AddrPort) netip.AddrPort {
	if transport.IsSide(a.Addr()) {
		return netip.AddrPort{}
	}
	return a
}
