package tap

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mostRoutes bounds how many routes of the kernel are looked at: a router that speaks
// BGP has a million, and the caller waits.
const mostRoutes = 4096

// interfaceAddrs returns the addresses of all interfaces by their index, in one request:
// each net.Interface.Addrs would have the kernel list them all again, which takes a
// second on a host with a thousand containers, and the caller waits.
func interfaceAddrs([]net.Interface) map[int][]net.Addr {
	list, _ := netlink.AddrList(nil, netlink.FAMILY_ALL) // an interrupted dump ends early: the next look finds the rest
	addrs := make(map[int][]net.Addr)
	for _, a := range list {
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], a.IPNet)
	}
	return addrs
}

// overlappingRoute looks for a route of the main table by one of the interfaces,
// given by index, to a network that shares addresses with prefix.
func overlappingRoute(prefix netip.Prefix, names map[int]string) (ifname string, other netip.Prefix, ok bool) {
	family := netlink.FAMILY_V4
	if prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	seen := 0
	// An interrupted dump ends early: the next look finds the rest.
	_ = netlink.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		seen++
		ifname, other, ok = leads(&r, prefix, names)
		return !ok && seen < mostRoutes
	})
	return ifname, other, ok
}

// leads returns by which interface a route leads to a network that shares addresses
// with prefix.
func leads(r *netlink.Route, prefix netip.Prefix, names map[int]string) (ifname string, other netip.Prefix, ok bool) {
	if r.Dst == nil || r.Type != unix.RTN_UNICAST {
		return "", netip.Prefix{}, false
	}
	addr, valid := netip.AddrFromSlice(r.Dst.IP)
	ones, _ := r.Dst.Mask.Size()
	other = netip.PrefixFrom(addr.Unmap(), ones)
	if !valid || ones < shortestRoute || !other.Overlaps(prefix) || addr.IsLinkLocalUnicast() {
		return "", netip.Prefix{}, false
	}
	hops := []int{r.LinkIndex}
	for _, h := range r.MultiPath {
		hops = append(hops, h.LinkIndex)
	}
	for _, index := range hops {
		if name, counts := names[index]; counts {
			return name, other, true
		}
	}
	return "", netip.Prefix{}, false
}
