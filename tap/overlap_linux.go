package tap

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mostRoutes bounds how many routes of the kernel are looked at: a router that speaks
// BGP has a million, and the caller waits.
const mostRoutes = 4096

// eachRoute calls f with the routes of the main table to networks by some interfaces, given
// by index, until it returns false. An interrupted dump, which is an error, ends early: the next
// look finds the rest.
func eachRoute(is4 bool, names map[int]string, f func(Network) bool) error {
	family := netlink.FAMILY_V6
	if is4 {
		family = netlink.FAMILY_V4
	}
	seen := 0
	return netlink.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		seen++
		n, ok := leads(&r, names)
		return (!ok || f(n)) && seen < mostRoutes
	})
}

// leads returns the network that a route leads to, and by which interface.
func leads(r *netlink.Route, names map[int]string) (n Network, ok bool) {
	if r.Dst == nil || r.Type != unix.RTN_UNICAST {
		return Network{}, false
	}
	addr, valid := netip.AddrFromSlice(r.Dst.IP)
	ones, _ := r.Dst.Mask.Size()
	n.Prefix = netip.PrefixFrom(addr.Unmap(), ones)
	if !valid || ones < shortestRoute || addr.IsLinkLocalUnicast() {
		return Network{}, false
	}
	hops := []int{r.LinkIndex}
	for _, h := range r.MultiPath {
		hops = append(hops, h.LinkIndex)
	}
	for _, index := range hops {
		if n.Interface, ok = names[index]; ok {
			return n, true
		}
	}
	return Network{}, false
}
