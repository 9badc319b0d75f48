package supernode

import (
	"log/slog"
	"net/netip"
)

// How many registered edges make a front of the private address that they share: all that
// come by UDP if there are frontFew of them, and more than half if there are frontMany.
const (
	frontFew  = 2
	frontMany = 8
)

// front is a NAT or a proxy before us that hides where edges come from: they all seem to
// come from one private address, its own. What is counted by source would count all of them
// as one, so the front counts as proxyShare sources, and each port of it as one where the
// beginning of a handshake is counted. There is one at most, whose edges are most of those
// that are here; nobody becomes it who reaches us from the internet.
type front struct {
	seen map[netip.Addr]int // registered edges that are here, by private address
	all  int                // edges that are here and come by UDP
	at   netip.Addr         // zero: there is none
	log  *slog.Logger
}

func newFront(log *slog.Logger) *front { return &front{seen: make(map[netip.Addr]int), log: log} }

// private reports whether an address is nobody's on the internet.
func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// count adds edges at an address, or takes them away.
func (f *front) count(addr netip.AddrPort, n int) {
	at := underlayAddr(addr).Addr().Unmap()
	if !at.IsValid() {
		return
	}
	f.all += n
	if private(at) {
		if f.seen[at] += n; f.seen[at] == 0 {
			delete(f.seen, at)
		}
	}
	was := f.at
	if f.at.IsValid() && !f.hides(f.at) {
		f.at = netip.Addr{}
	}
	if !f.at.IsValid() && f.hides(at) {
		f.at = at
		if was != at {
			f.log.Warn("edges come from one private address: a NAT or a proxy before this supernode hides where they are [E52]", "address", at, "edges", f.seen[at])
		}
	}
}

// hides reports whether an address stands for enough edges to be the front. The one that is
// it already stays it with half as many.
func (f *front) hides(a netip.Addr) bool {
	n := f.seen[a]
	weight := n
	if a == f.at {
		weight *= 2
	}
	return n >= frontFew && n == f.all || weight >= frontMany && weight*2 > f.all
}

// sourcesIn returns for how many sources an address counts. A front of few edges needs no
// more than one.
func (f *front) sourcesIn(a netip.Addr) int {
	if a == proxies || f.isAt(a) && f.seen[f.at] >= frontMany/2 {
		return proxyShare
	}
	return 1
}

// isAt reports whether an address is the front's.
func (f *front) isAt(a netip.Addr) bool { return f.at.IsValid() && a.Unmap() == f.at }

// initSource returns the address by which INITs and HELLOs are counted: the source, except
// for those that come by the front, or by streams through a reverse proxy, which share one.
// Each of those is counted by its port, or its number, put where an IPv6 address has its
// network. A proxy that is open to everybody has limits of its own.
func (f *front) initSource(from netip.AddrPort, source netip.Addr) netip.Addr {
	var own [16]byte
	switch b := from.Addr().As16(); {
	case proxied(from, source):
		copy(own[:8], b[8:])
	case f.isAt(from.Addr()):
		own[0], own[1] = byte(from.Port()>>8), byte(from.Port())
		copy(own[2:8], b[10:])
	default:
		return source
	}
	return netip.AddrFrom16(own)
}
