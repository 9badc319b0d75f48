package stack

import (
	"errors"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tunnelKinds are the kernel's words for interfaces whose packets travel inside others
// (IFLA_INFO_KIND). The name says nothing: an interface may have any.
var tunnelKinds = map[string]bool{
	"tun": true, "wireguard": true, "amneziawg": true, "ovpn": true, "ovpn-dco": true,
	"vxlan": true, "geneve": true, "bareudp": true, "gtp": true,
	"gre": true, "gretap": true, "erspan": true, "ip6gre": true, "ip6gretap": true, "ip6erspan": true,
	"ipip": true, "sit": true, "ip6tnl": true, "vti": true, "vti6": true, "xfrm": true,
}

// virtualKinds are those of other interfaces that lead to containers of this host, or
// nowhere; to virtual machines a TAP leads, which is a "tun".
var virtualKinds = map[string]bool{"veth": true, "dummy": true, "netkit": true, "ifb": true}

// kindOf returns the kernel's word for the kind of an interface; empty: a card.
func kindOf(x netlink.Link) string {
	switch kind := x.Type(); kind {
	case "device":
		return ""
	case "tuntap":
		return "tun"
	default:
		return kind
	}
}

// IsTunnel reports whether the interface of this name is a tunnel, by its kind.
func IsTunnel(ifname string) bool {
	x, err := netlink.LinkByName(ifname)
	return err == nil && tunnelKinds[kindOf(x)]
}

// inner returns the names of the interfaces that lead to nothing but containers and virtual
// machines of this host: bridges that join only those, as docker0 and virbr0 do, and pairs
// both of whose ends are here, as Cilium's cilium_host. One by which a default route leaves
// is none of them, whatever is behind it.
func inner(list []netlink.Link) map[string]bool {
	outer, byIndex := make(map[int]bool), make(map[int]netlink.Link, len(list))
	for _, x := range list {
		byIndex[x.Attrs().Index] = x
		if kind := kindOf(x); x.Attrs().MasterIndex != 0 && !virtualKinds[kind] && !tunnelKinds[kind] {
			outer[x.Attrs().MasterIndex] = true
		}
	}
	found := make(map[int]string)
	for _, x := range list {
		if a := x.Attrs(); kindOf(x) == "bridge" && !outer[a.Index] || isLoop(x, byIndex) {
			found[a.Index] = a.Name
		}
	}
	if len(found) == 0 || withoutDefault(found) != nil {
		return nil // better an address too much than the only one missing
	}
	names := make(map[string]bool)
	for _, name := range found {
		names[name] = true
	}
	return names
}

// isLoop reports whether an interface is an end of a pair whose other end is in this
// namespace as well, and joined to nothing.
func isLoop(x netlink.Link, byIndex map[int]netlink.Link) bool {
	a := x.Attrs()
	if x.Type() != "veth" || a.NetNsID >= 0 {
		return false
	}
	far := byIndex[a.ParentIndex]
	return far != nil && far.Attrs().MasterIndex == 0
}

// withoutDefault deletes the interfaces, given by index, by which a default route of the
// main table leaves. The kernel is asked for the routes by each of them alone: a router
// that speaks BGP has a million others. Linux before 4.20 tells them all.
func withoutDefault(found map[int]string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	_ = h.SetStrictCheck(true)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		for index := range found {
			err := h.RouteListFilteredIter(family, &netlink.Route{LinkIndex: index}, netlink.RT_FILTER_DST, func(r netlink.Route) bool {
				if r.Type == unix.RTN_UNICAST && leavesBy(&r, index) {
					delete(found, index)
				}
				return true
			})
			// A kernel without IPv6 refuses to tell of its routes.
			if err != nil && !(family == netlink.FAMILY_V6 && errors.Is(err, unix.EOPNOTSUPP)) {
				return err
			}
		}
	}
	return nil
}

// leavesBy reports whether one of a route's next hops is by an interface.
func leavesBy(r *netlink.Route, index int) bool {
	return r.LinkIndex == index ||
		slices.ContainsFunc(r.MultiPath, func(hop *netlink.NexthopInfo) bool { return hop.LinkIndex == index })
}
