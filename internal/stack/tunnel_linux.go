package stack

import (
	"github.com/vishvananda/netlink"

	"hedgerow/internal/netwatch"
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

// inner returns the names of the bridges that join nothing but containers and virtual
// machines of this host, as docker0 and virbr0 do. A bridge by which a default route leaves
// is none of them, whatever its ports are.
func inner(list []netlink.Link) map[string]bool {
	found, outer := make(map[string]bool), make(map[int]bool)
	for _, x := range list {
		if kind := kindOf(x); x.Attrs().MasterIndex != 0 && !virtualKinds[kind] && !tunnelKinds[kind] {
			outer[x.Attrs().MasterIndex] = true
		}
	}
	for _, x := range list {
		if kindOf(x) == "bridge" && !outer[x.Attrs().Index] {
			found[x.Attrs().Name] = true
		}
	}
	if len(found) == 0 {
		return nil
	}
	s, err := netwatch.Read(netwatch.Config{})
	if err != nil {
		return nil // better an address too much than the only one missing
	}
	for _, x := range list {
		for _, r := range s.Routes {
			if r.Interface == x.Attrs().Index {
				delete(found, x.Attrs().Name)
			}
		}
	}
	return found
}
