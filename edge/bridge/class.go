package bridge

import (
	"encoding/binary"

	"hedgerow/protocol"
)

// Class is what storm control tells apart: the frames that a LAN cannot work without
// have limits of their own, so that a storm of others never starves them.
type Class uint8

const (
	// Data is every frame that is flooded and is not of Control.
	Data Class = iota
	// Control is ARP, IPv6 neighbour and router discovery, DHCP, the control groups of
	// IP (OSPF, VRRP, Babel), those of IEEE 802, and reports of IGMP and MLD.
	Control
	classes
)

// String returns what the frames of a class are called in a sentence.
func (c Class) String() string {
	if c == Control {
		return "ARP, neighbour discovery and other control frames"
	}
	return "broadcasts and multicasts"
}

// EtherTypes that are looked at besides those of package protocol (IEEE registry).
const (
	etherTypeARP  = 0x0806
	etherTypeRARP = 0x8035 // a machine that has moved says so by it
)

// Names that are looked up by multicast are convenient, and not what a LAN stands on:
// mDNS (RFC 6762) and LLMNR (RFC 4795) are data.
const (
	groupMDNS    = 251 // 224.0.0.251 and ff02::fb
	groupLLMNR   = 252 // 224.0.0.252
	groupLLMNRv6 = 3   // ff02::1:3
)

// Class returns the class of a frame that is flooded.
func (f *Parsed) Class() Class {
	switch {
	case controlGroup(f.Dst()), f.etherType == etherTypeARP, f.etherType == etherTypeRARP:
		return Control
	case f.isDHCP():
		return Control
	case f.proto == protoIGMP || f.proto == extHopByHop || f.proto == protoICMPv6:
		if m, ok := multicastOf(f); ok && m.speaks() && m.proto != protoPIM {
			return Control
		}
	}
	return Data
}

// controlGroup reports whether a group address is one that protocols of the LAN itself
// talk on: IEEE 802.1's and Cisco's, 224.0.0.0/24 (RFC 5771), the well-known groups
// below ff02::/16 and the solicited-node groups (RFC 4291, section 2.7.1).
func controlGroup(dst protocol.MAC) bool {
	switch {
	case dst[0] == 0x33 && dst[1] == 0x33:
		return controlGroupIPv6(binary.BigEndian.Uint32(dst[2:]))
	case dst[0] != 1:
		return false
	case dst[1] == 0x80 && dst[2] == 0xc2, dst[1] == 0x00 && dst[2] == 0x0c:
		return true
	}
	return dst[1] == 0x00 && dst[2] == 0x5e && dst[3] == 0 && dst[4] == 0 && dst[5] != groupMDNS && dst[5] != groupLLMNR
}

// controlGroupIPv6 is controlGroup for the last 32 bits of an IPv6 group, which are
// those of its hardware address (RFC 2464, section 7).
func controlGroupIPv6(low uint32) bool {
	const solicitedNode = 0xff
	switch {
	case low>>24 == solicitedNode:
		return true
	case low < 0x100:
		return low != groupMDNS
	}
	return low>>8 == 0x100 && low&0xff != groupLLMNRv6
}
