package tap

import (
	"fmt"
	"net/netip"
)

// A sight is what the kernel says of the device and of its bridge at one moment.
type sight struct {
	device  *link // nil: it is not in this namespace any more
	deleted bool
	bridge  *link  // the one that the user named; nil: there is none
	master  *link  // of which the device is a port; nil: of none
	ports   []link // of bridge, but for the device
	chains  []chain
	// Whether br_netfilter sends the frames of all bridges through the firewall.
	filter4, filter6 bool
	forwarding       forwarding     // of a host with networks behind it
	missing          []netip.Prefix // addresses that the device or the bridge was given
}

// obstacle is E31: something on this host that eats frames of the bridge.
func obstacle(format string, args ...any) string { return fmt.Sprintf(format, args...) + " [E31]" }

// obstacles says what eats frames between the bridge's hosts and the overlay, each
// with the command to type. most is the longest packet that the overlay carries.
func (s *sight) obstacles(most int) (list []string) {
	if s.bridge == nil || s.device == nil || s.device.master != s.bridge.index {
		return nil
	}
	list = append(list, s.filtered()...)
	list = append(list, s.cut(most)...)
	list = append(list, s.held()...)
	return append(list, s.sorted()...)
}

// meets reports whether the bridge's frames go through a chain of the firewall.
func (s *sight) meets(c *chain) bool {
	switch o := s.bridge.bridge; c.family {
	case bridgeRules:
		return true
	case ip4Family:
		return s.filter4 || o.filter4
	case ip6Family:
		return s.filter6 || o.filter6
	case bothFamily:
		return s.filter4 || o.filter4 || s.filter6 || o.filter6
	}
	return false
}

// filtered tells of firewall rules that bridged frames meet.
func (s *sight) filtered() (list []string) {
	for _, c := range s.chains {
		if !c.drops || c.excepts || !s.meets(&c) {
			continue
		}
		name := fmt.Sprintf("the chain %q of its table %q", c.name, c.table)
		if c.family == bridgeRules {
			list = append(list, obstacle("the firewall's table of bridged frames drops what no rule accepts, in %s: hosts behind %s are cut off. Type: nft insert rule bridge %s %s iifname %s accept; nft insert rule bridge %[3]s %[4]s oifname %[5]s accept.",
				name, s.bridge.name, c.table, c.name, s.device.name))
			continue
		}
		setting := "iptables"
		if c.family == ip6Family || c.family == bothFamily && !s.filter4 && !s.bridge.bridge.filter4 {
			setting = "ip6tables"
		}
		list = append(list, obstacle("br_netfilter sends the frames of %s through the firewall, which drops what no rule accepts, in %s: hosts behind the bridge are cut off. Type: sysctl -w net.bridge.bridge-nf-call-%s=0 (a container engine sets it again: then iptables -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT).",
			s.bridge.name, name, setting))
	}
	return list
}

// cut tells of ports that carry less than others.
func (s *sight) cut(most int) (list []string) {
	for _, p := range s.ports {
		if p.mtu < s.bridge.mtu {
			list = append(list, obstacle("%s has an MTU of %d and its port %s carries %d: longer frames vanish without a word. Type: ip link set %[3]s mtu %[2]d.", s.bridge.name, s.bridge.mtu, p.name, p.mtu))
		}
	}
	if n := segmentMTU(*s.bridge, s.ports); n > most {
		list = append(list, obstacle("the hosts of %s may send %d bytes now, and the overlay carries %d: longer frames vanish without a word. Type: ip link set %[1]s mtu %[3]d, and the same for its ports.", s.bridge.name, n, most))
	}
	return list
}

// held tells of options of the device as a port.
func (s *sight) held() (list []string) {
	name, p := s.device.name, s.device.port
	if p.isolated {
		for _, other := range s.ports {
			if other.port.isolated {
				list = append(list, obstacle("the ports %s and %s of %s are isolated from each other: nothing passes between them. Type: bridge link set dev %[1]s isolated off.", name, other.name, s.bridge.name))
			}
		}
	}
	for _, f := range []struct {
		on           bool
		option, what string
	}{
		{p.unicast, "flood", "frames to hosts that it has not learned"},
		{p.group, "mcast_flood", "multicast"},
		{p.others, "bcast_flood", "broadcasts, ARP and DHCP among them,"},
	} {
		if !f.on {
			list = append(list, obstacle("%s sends %s not to its port %s. Type: bridge link set dev %[3]s %[4]s on.", s.bridge.name, f.what, name, f.option))
		}
	}
	switch {
	case !s.bridge.up:
		list = append(list, obstacle("%s is down: nothing passes. Type: ip link set %[1]s up.", s.bridge.name))
	case s.device.up && s.bridge.bridge.stp != 0 && p.state == portBlocking:
		list = append(list, obstacle("the spanning tree of %s blocks its port %s: nothing passes by this edge as long as another way is up. See: bridge link show.", s.bridge.name, name))
	case s.device.up && p.state == portDisabled:
		list = append(list, obstacle("the port %s of %s is disabled: nothing passes. Type: bridge link set dev %[1]s state 3.", name, s.bridge.name))
	}
	return list
}

// sorted tells of what the bridge itself does to frames.
func (s *sight) sorted() (list []string) {
	o := s.bridge.bridge
	if o.vlans && o.pvid == 0 {
		list = append(list, obstacle("%s sorts frames by VLAN and has none for new ports: untagged frames vanish. Type: bridge vlan add dev %s vid 1 pvid untagged, with your VLAN in the place of 1.", s.bridge.name, s.device.name))
	}
	if o.ageing == 0 {
		list = append(list, obstacle("%s forgets at once where its hosts are (ageing_time 0) and sends every frame to everybody, by the overlay too. Type: ip link set %[1]s type bridge ageing_time 30000.", s.bridge.name))
	}
	return list
}

// groups01 are the groups 01:80:c2:00:00:03 (EAPOL) and :0e (LLDP) in a mask of a
// bridge (IEEE 802.1Q, table 8-1).
const groups01 = 1<<0x3 | 1<<0xe

// remarks says what the bridge does that is as usual, but not what everybody
// expects of a cable. They are for the log alone.
func (s *sight) remarks() (list []string) {
	if s.bridge == nil {
		return nil
	}
	o := s.bridge.bridge
	if o.groupMask&groups01 != groups01 {
		list = append(list, obstacle("%s keeps LLDP and 802.1X to itself, as every bridge does. If they have to pass, type: ip link set %[1]s type bridge group_fwd_mask %#[2]x.", s.bridge.name, o.groupMask|groups01))
	}
	if o.vlans && o.pvid != 0 {
		list = append(list, obstacle("%s sorts frames by VLAN, and its port %s has VLAN %d only. If others have to pass, type: bridge vlan add dev %[2]s vid 10, for each.", s.bridge.name, s.device.name, o.pvid))
	}
	return list
}
