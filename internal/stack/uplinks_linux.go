package stack

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"hedgerow/internal/interfaces"
)

// Uplinks returns the interfaces of the underlay, other than the one that packets to an
// IPv4 address leave by, by which a router leads to that address, too.
func (s *Stack) Uplinks(to netip.Addr) (names []string) {
	preferred, _ := routeTo(to, &netlink.RouteGetOptions{Mark: s.from.mark, Oif: s.from.ifname})
	list, _ := interfaces.List()
	for _, x := range list {
		if x.Index == preferred.LinkIndex || x.Flags&net.FlagUp == 0 || x.Flags&net.FlagLoopback != 0 || !s.Underlay(x.Name) || !hasIPv4(x.Addresses) {
			continue
		}
		// Without a route by the interface the kernel takes the address for one of its link.
		by, ok := routeTo(to, &netlink.RouteGetOptions{Mark: s.from.mark, Oif: x.Name})
		if ok && (by.Gw != nil || x.Flags&net.FlagPointToPoint != 0) {
			names = append(names, x.Name)
		}
	}
	return names
}

func hasIPv4(list []interfaces.Address) bool {
	for _, a := range list {
		if a.Addr().Is4() {
			return true
		}
	}
	return false
}
