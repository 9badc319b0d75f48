//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netwatch

import (
	"net/netip"
	"syscall"

	"golang.org/x/net/route"
)

// defaultRoutes reads the default routes from the routing table (route(4)).
func defaultRoutes() (list []candidate, err error) {
	rib, err := route.FetchRIB(syscall.AF_UNSPEC, route.RIBTypeRoute, 0)
	if err != nil {
		return nil, err
	}
	messages, err := route.ParseRIB(route.RIBTypeRoute, rib)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m, ok := m.(*route.RouteMessage); ok && m.Flags&syscall.RTF_UP != 0 {
			if c, ok := defaultRoute(m); ok {
				c.metric = len(list) // the kernel's order is by preference
				list = append(list, c)
			}
		}
	}
	return list, nil
}

// defaultRoute returns the default route that m is about, if it is.
func defaultRoute(m *route.RouteMessage) (c candidate, ok bool) {
	if len(m.Addrs) <= syscall.RTAX_NETMASK || m.Flags&syscall.RTF_HOST != 0 {
		return c, false
	}
	to, ok := address(m.Addrs[syscall.RTAX_DST])
	if !ok || !to.IsUnspecified() {
		return c, false
	}
	// The mask of a default route is all zero, or left out.
	if mask, ok := address(m.Addrs[syscall.RTAX_NETMASK]); ok && !mask.IsUnspecified() {
		return c, false
	}
	c = candidate{Route: Route{Interface: m.Index}, ipv6: to.Is6()}
	if m.Flags&syscall.RTF_GATEWAY != 0 {
		c.Gateway, _ = address(m.Addrs[syscall.RTAX_GATEWAY])
	}
	return c, true
}

// address returns an IP address of a routing message without its zone.
func address(a route.Addr) (netip.Addr, bool) {
	switch a := a.(type) {
	case *route.Inet4Addr:
		return netip.AddrFrom4(a.IP), true
	case *route.Inet6Addr:
		return netip.AddrFrom16(a.IP), true
	}
	return netip.Addr{}, false
}
