package stack

import (
	"net"
	"net/netip"
	"slices"

	"hedgerow/internal/interfaces"
)

// Uplinks returns the interfaces of the underlay, other than the one that packets to an
// IPv4 address leave by, by which a router leads to that address, too.
func (s *Stack) Uplinks(to netip.Addr) (names []string) {
	preferred, _ := routeTo(to, s.from.how())
	list, _ := interfaces.List()
	for _, x := range list {
		if x.Index == preferred.LinkIndex || x.Flags&net.FlagUp == 0 || x.Flags&net.FlagLoopback != 0 || !s.Underlay(x.Name) || !hasIPv4(x.Addresses) {
			continue
		}
		// Without a route by the interface the kernel takes the address for one of its link.
		by, ok := routeTo(to, source{s.from.mark, x.Name}.how())
		if ok && (by.Gw != nil || x.Flags&net.FlagPointToPoint != 0) {
			names = append(names, x.Name)
		}
	}
	return names
}

// hasIPv4 reports whether one of the addresses is an IPv4 one.
func hasIPv4(list []interfaces.Address) bool {
	return slices.ContainsFunc(list, func(a interfaces.Address) bool { return a.Addr().Is4() })
}
