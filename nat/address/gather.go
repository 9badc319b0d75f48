package address

import (
	"net"
	"net/netip"
	"slices"

	"hedgerow/internal/interfaces"
)

// MaxCandidates and MaxPerFamily are the most candidates of one peer, in all and
// of one address family.
const (
	MaxCandidates = 16
	MaxPerFamily  = 8
)

// maxHostsBeside is how many candidates of a family may be addresses of interfaces
// when there are reflexive ones as well: a host with many interfaces must not
// crowd those out.
const maxHostsBeside = 6

// Sources are the addresses at which an edge may be reached, by where they are
// known from; each list begins with the best.
type Sources struct {
	Host      []netip.Addr     // of its interfaces
	Port      uint16           // of its data socket, for those
	Static    []netip.AddrPort // from its configuration
	Mapped    []netip.AddrPort // by its router
	Reflexive []netip.AddrPort // as servers see it, the most recent first
	TURN      []netip.AddrPort // at relays
}

// Gather makes the list of candidates that an edge sends to its peers. At most 16
// come back, 8 of a family, none twice and only such as p lets peers probe; p is
// the edge's own policy, so its overlay addresses are left out. Configured and
// mapped addresses come first, and relayed candidates always have a place, however
// many interfaces there are.
func Gather(s Sources, p *Policy) []Candidate {
	var list []Candidate
	add := func(kind CandidateKind, a netip.AddrPort, limit int) {
		a = Unmap(a)
		if !p.Probeable(a) || len(list) >= MaxCandidates {
			return
		}
		family := 0
		for _, c := range list {
			if c.Addr == a {
				return
			}
			if c.Addr.Addr().Is4() == a.Addr().Is4() {
				family++
			}
		}
		if family < limit {
			list = append(list, Candidate{kind, a})
		}
	}
	addAll := func(kind CandidateKind, addrs []netip.AddrPort) {
		for _, a := range addrs {
			add(kind, a, MaxPerFamily)
		}
	}
	addAll(KindStatic, s.Static)
	addAll(KindMapped, s.Mapped)
	addAll(KindTURN, s.TURN)
	limit := MaxPerFamily
	if len(s.Reflexive) > 0 {
		limit = maxHostsBeside
	}
	for _, a := range s.Host {
		add(KindHost, netip.AddrPortFrom(a.WithZone(""), s.Port), limit)
	}
	addAll(KindReflexive, s.Reflexive)
	return list
}

// OfInterfaces returns the unicast addresses of the interfaces that are up,
// without loopback, link-local addresses, those that nothing may be sent from, and
// interfaces that exclude names, such as tunnels; exclude may be nil. The order is the
// system's, but deprecated addresses come after all others: with temporary addresses
// (RFC 8981) a host may have one for each day of a week.
func OfInterfaces(exclude func(ifname string) bool) ([]netip.Addr, error) {
	all, err := interfaces.List()
	if err != nil {
		return nil, err
	}
	var list, deprecated []netip.Addr
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		if exclude != nil && exclude(i.Name) {
			continue
		}
		for _, a := range i.Addresses {
			switch ip := a.Addr(); {
			case a.Unusable || !ip.IsGlobalUnicast():
			case a.Deprecated:
				deprecated = append(deprecated, ip)
			case !slices.Contains(list, ip):
				list = append(list, ip)
			}
		}
	}
	for _, ip := range deprecated {
		if !slices.Contains(list, ip) {
			list = append(list, ip)
		}
	}
	return list, nil
}

// Unmap returns a without the IPv6-mapped form of an IPv4 address.
func Unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
