package netwatch

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// unusable are the flags of addresses that nothing may be sent from: their
// duplicate detection still runs or has failed (RFC 4862, section 5.4). The
// kernel tells when it is done.
const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED

// maxReads bounds how often a reading begins anew because the network changed
// under it.
const maxReads = 4

// read asks the kernel for interfaces, addresses and default routes.
func read() (r *reading, err error) {
	for range maxReads {
		r = &reading{interfaces: make(map[int]string)}
		err = errors.Join(r.readLinks(), r.readAddresses(), r.readRoutes())
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return r, err
}

func (r *reading) readLinks() error {
	links, err := netlink.LinkList()
	for _, l := range links {
		a := l.Attrs()
		if a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0 {
			r.interfaces[a.Index] = a.Name
		}
	}
	return err
}

func (r *reading) readAddresses() error {
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	for _, a := range addresses {
		if a.Flags&unusable != 0 {
			continue
		}
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			r.addresses = append(r.addresses, placed{a.LinkIndex, ip.Unmap()})
		}
	}
	return err
}

func (r *reading) readRoutes() error {
	var errs []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		// One after the other, since the table may be that of a BGP router. No
		// Dst in the filter means the default route.
		err := netlink.RouteListFilteredIter(family, &netlink.Route{}, netlink.RT_FILTER_DST, func(route netlink.Route) bool {
			r.addRoute(family == netlink.FAMILY_V6, &route)
			return true
		})
		// A kernel without IPv6 refuses to tell of its routes.
		if err != nil && !(family == netlink.FAMILY_V6 && errors.Is(err, unix.EOPNOTSUPP)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// addRoute adds a default route, or each of its next hops when it has several.
func (r *reading) addRoute(ipv6 bool, route *netlink.Route) {
	if route.Type != unix.RTN_UNICAST {
		return // a prohibition
	}
	add := func(ifindex int, gateway net.IP, via netlink.Destination) {
		c := candidate{Route: Route{Interface: ifindex}, ipv6: ipv6, metric: route.Priority}
		if v, ok := via.(*netlink.Via); ok {
			gateway = v.Addr // an IPv4 route by an IPv6 router (RFC 8950)
		}
		if ip, ok := netip.AddrFromSlice(gateway); ok {
			c.Gateway = ip.Unmap()
		}
		r.routes = append(r.routes, c)
	}
	if len(route.MultiPath) == 0 {
		add(route.LinkIndex, route.Gw, route.Via)
	}
	for _, hop := range route.MultiPath {
		add(hop.LinkIndex, hop.Gw, hop.Via)
	}
}
