package nat

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// The most candidates of one peer, in all and of one address family, and how
// many of a family may be addresses of interfaces when there are reflexive ones
// as well: a host with many interfaces must not crowd those out.
const (
	maxCandidates  = 16
	maxPerFamily   = 8
	maxHostsBeside = 6
)

// Gather makes the list of candidates that an edge sends to its peers: the
// addresses of its interfaces with its data port, and the reflexive addresses
// as given, most recent first. At most 16 come back, 8 of a family, none twice
// and only such as p lets peers probe; p is asked with the edge's own eyes, so
// its overlay addresses are left out.
func Gather(host []netip.Addr, port uint16, reflexive []netip.AddrPort, p *Policy) []Candidate {
	var list []Candidate
	add := func(kind CandidateKind, a netip.AddrPort, limit int) {
		a = unmap(a)
		if !p.Probeable(a) || len(list) >= maxCandidates {
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
	limit := maxPerFamily
	if len(reflexive) > 0 {
		limit = maxHostsBeside
	}
	for _, a := range host {
		add(KindHost, netip.AddrPortFrom(a.WithZone(""), port), limit)
	}
	for _, a := range reflexive {
		add(KindReflexive, a, maxPerFamily)
	}
	return list
}

// tunnels are the beginnings of the names that tunnel devices usually have. An
// address of another tunnel would nest one overlay in the other.
var tunnels = [...]string{"tun", "tap", "wg", "n2n", "utun", "zt", "tailscale"}

// HostAddresses returns the unicast addresses of the interfaces that are up,
// without loopback, link-local addresses, tunnels by their usual names, and
// interfaces that exclude names; exclude may be nil. The order is the system's.
func HostAddresses(exclude func(ifname string) bool) ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || isTunnel(i.Name) {
			continue
		}
		if exclude != nil && exclude(i.Name) {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // the interface went away meanwhile
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			ip := prefix.Addr().Unmap()
			if ip.IsGlobalUnicast() && !slices.Contains(list, ip) {
				list = append(list, ip)
			}
		}
	}
	return list, nil
}

func isTunnel(name string) bool {
	for _, t := range tunnels {
		if strings.HasPrefix(name, t) {
			return true
		}
	}
	return false
}

// unmap returns a without the IPv6-mapped form of an IPv4 address.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
