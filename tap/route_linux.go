package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routeProtocol marks the routes that an edge has set (rtm_protocol, as "proto 76" of
// ip-route(8)), so that those of one that was killed are known. Nobody else has the number
// in iproute2's list.
const routeProtocol = 76

// SetRoutes makes these the only routes that an edge has set by the device, or by the
// bridge that has its addresses; those of others stay. It compares with what the kernel
// has, so that routes are there again after somebody set the device down, and those of a
// process that was killed go. The error is that of the first route that the kernel
// refuses; the others are set.
func (d *Device) SetRoutes(list []Route) error {
	l := d.netif
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.isClosed() {
		return ErrClosed
	}
	link := l.holder().Attrs().Index
	have, err := d.links.ourRoutes(link)
	if err != nil {
		return fmt.Errorf("cannot list the routes of %s: %w", l.holderName(), err)
	}
	for _, r := range have {
		if !slices.ContainsFunc(list, func(w Route) bool { return w.Prefix == r.Prefix && w.table() == r.Table }) {
			err = errors.Join(err, ignoreGone(l.handle.RouteDel(r.netlink(link))))
		}
	}
	var fault error
	for _, r := range list {
		r.Table = r.table()
		if slices.Contains(have, r) {
			continue
		}
		if err := l.handle.RouteReplace(r.netlink(link)); err != nil && fault == nil {
			fault = fmt.Errorf("cannot route %s via %s by %s: %w", r.Prefix, r.Via, l.holderName(), err)
		}
	}
	return errors.Join(err, fault)
}

// ignoreGone forgets that a route has gone already.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func (r *Route) table() int {
	if r.Table == 0 {
		return unix.RT_TABLE_MAIN
	}
	return r.Table
}

// netlink returns the route as the kernel gets it.
func (r *Route) netlink(link int) *netlink.Route {
	x := &netlink.Route{
		LinkIndex: link, Protocol: routeProtocol, Priority: RouteMetric, Table: r.table(),
		Dst: &net.IPNet{IP: r.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(r.Prefix.Bits(), r.Prefix.Addr().BitLen())},
	}
	if r.Prefix.Addr().Is4() && r.Via.Is6() {
		x.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: r.Via.AsSlice()}
	} else {
		x.Gw = r.Via.AsSlice()
	}
	return x
}

// ourRoutes returns the routes in all tables that an edge has set by an interface. The
// kernel picks them out: a router may have a million others.
func (l *links) ourRoutes(link int) (list []Route, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		r := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		r.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: l.routes}
		r.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Protocol: routeProtocol}})
		r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(link))))
		err := r.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(msg []byte) bool {
			if route, ok := parseRoute(msg, link); ok {
				list = append(list, route)
			}
			return true
		})
		if err != nil && !(family == unix.AF_INET6 && errors.Is(err, unix.EOPNOTSUPP)) { // a kernel without IPv6
			return nil, err
		}
	}
	return list, nil
}

// parseRoute reads an RTM_NEWROUTE message without its header, if it is a route of ours.
func parseRoute(msg []byte, link int) (r Route, ok bool) {
	if len(msg) < unix.SizeofRtMsg {
		return Route{}, false
	}
	head := nl.DeserializeRtMsg(msg)
	to, by, metric := netip.IPv4Unspecified(), 0, 0
	if head.Family == unix.AF_INET6 {
		to = netip.IPv6Unspecified()
	}
	r.Table = int(head.Table)
	err := eachAttribute(msg[unix.SizeofRtMsg:], func(kind uint16, b []byte) {
		switch kind {
		case unix.RTA_DST:
			to, _ = netip.AddrFromSlice(b)
		case unix.RTA_GATEWAY:
			r.Via, _ = netip.AddrFromSlice(b)
		case unix.RTA_VIA:
			r.Via, _ = netip.AddrFromSlice(b[min(2, len(b)):]) // behind its family
		case unix.RTA_OIF:
			by = int(number(b))
		case unix.RTA_TABLE:
			r.Table = int(number(b))
		case unix.RTA_PRIORITY:
			metric = int(number(b))
		}
	})
	r.Prefix = netip.PrefixFrom(to, int(head.Dst_len))
	return r, err == nil && r.Prefix.IsValid() && head.Protocol == routeProtocol && by == link && metric == RouteMetric
}

// HasRule reports whether some rule leads to a routing table of a family. It says so, too,
// if the kernel does not tell. The rules are those of the calling thread's namespace.
func HasRule(is4 bool, table int) bool {
	family := netlink.FAMILY_V6
	if is4 {
		family = netlink.FAMILY_V4
	}
	list, err := netlink.RuleList(family)
	return err != nil || slices.ContainsFunc(list, func(r netlink.Rule) bool { return r.Table == table })
}
