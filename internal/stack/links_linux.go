package stack

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readLinks asks the kernel for the interfaces, and finds the stack of a device. If the
// kernel does not tell, the stack is the device alone.
func readLinks(device int) links {
	list, _ := netlink.LinkList() // an interrupted dump ends early: the next look finds the rest
	l := links{names: make(map[int]string), roots: make(map[int]bool), tunnels: make(map[string]bool)}
	l.inner = sync.OnceValue(func() map[string]bool { return inner(list) })
	byIndex := make(map[int]netlink.Link, len(list))
	l.roots[device], l.names[device] = true, ""
	for _, x := range list {
		a := x.Attrs()
		byIndex[a.Index] = x
		l.tunnels[a.Name] = tunnelKinds[kindOf(x)]
		if len(a.HardwareAddr) > 0 {
			l.stations = append(l.stations, a.HardwareAddr)
		}
		if a.Index == device || isEdge(x) {
			l.roots[a.Index], l.names[a.Index] = true, a.Name
		}
	}
	for grown := true; grown; { // each round finds one more level, or ends
		grown = false
		for _, x := range list {
			a := x.Attrs()
			if l.holds(a.Index) { // then its bridge is as well, if it is a port of one
				grown = l.add(byIndex[a.MasterIndex]) || grown
			} else if l.carries(x, byIndex) {
				grown = l.add(x) || grown
			}
		}
	}
	return l
}

// add adds an interface, if there is one, and reports whether it was not there.
func (l *links) add(x netlink.Link) bool {
	if x == nil || l.holds(x.Attrs().Index) {
		return false
	}
	l.names[x.Attrs().Index] = x.Attrs().Name
	return true
}

// isEdge reports whether an interface is the device of some edge.
func isEdge(x netlink.Link) bool {
	t, ok := x.(*netlink.Tuntap)
	return ok && t.Mode == netlink.TUNTAP_MODE_TAP && strings.HasPrefix(x.Attrs().Alias, Alias)
}

// carries reports whether an interface is made from one in the stack, or is the near end
// of a veth pair whose other end is a port of a bridge in the stack.
func (l *links) carries(x netlink.Link, byIndex map[int]netlink.Link) bool {
	a := x.Attrs()
	if v, ok := x.(*netlink.Vxlan); ok {
		return l.holds(v.VtepDevIndex)
	}
	if a.ParentIndex == 0 || a.NetNsID >= 0 { // made from nothing, or from something elsewhere
		return false
	}
	if x.Type() == "veth" {
		far := byIndex[a.ParentIndex]
		return far != nil && l.holds(far.Attrs().MasterIndex)
	}
	return l.holds(a.ParentIndex)
}

// egress returns where the kernel's route to an address leads.
//
// A host whose only network is its bridge has its default route there, and everything
// that it reaches, it reaches by the bridge. Such a route does not count as leading into
// the overlay, but one that a router advertisement made does: the router may be anybody
// in the overlay.
func (l *links) egress(to netip.Addr, from source) Egress {
	if zone := to.Zone(); zone != "" {
		for index, name := range l.names {
			if name == zone {
				return l.by(index)
			}
		}
		return Outside
	}
	how := from.how()
	hop, ok := routeTo(to, how)
	if !ok {
		return Outside
	}
	egress := l.by(hop.LinkIndex)
	if egress == Above {
		how.FIBMatch = true
		entry, ok := routeTo(to, how)
		if ok && isDefault(&entry) && entry.Protocol != unix.RTPROT_RA {
			return Outside
		}
	}
	return egress
}

// routed reports whether the kernel has a route to an address.
func (s *Stack) routed(to netip.Addr) bool {
	_, ok := routeTo(to, s.from.how())
	return ok
}

// by returns where packets go that leave by an interface.
func (l *links) by(ifindex int) Egress {
	if l.roots[ifindex] {
		return Into
	}
	if l.holds(ifindex) {
		return Above
	}
	return Outside
}

// how returns how the kernel is asked for the routes of such packets.
func (f source) how() netlink.RouteGetOptions {
	return netlink.RouteGetOptions{Mark: f.mark, Oif: f.ifname}
}

// routeTo asks the kernel for its route to an address.
func routeTo(to netip.Addr, how netlink.RouteGetOptions) (netlink.Route, bool) {
	routes, err := netlink.RouteGetWithOptions(net.IP(to.AsSlice()), &how)
	if err != nil || len(routes) == 0 {
		return netlink.Route{}, false
	}
	return routes[0], true
}

// isDefault reports whether a route is a default route.
func isDefault(r *netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}
