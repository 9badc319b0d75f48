package bridge

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"hedgerow/protocol"
)

// frame builds an Ethernet frame.
func frame(dst, src protocol.MAC, etherType uint16, payload []byte) protocol.Frame {
	f := slices.Concat(dst[:], src[:])
	return append(binary.BigEndian.AppendUint16(f, etherType), payload...)
}

// tagged puts a tag into a frame.
func tagged(f protocol.Frame) protocol.Frame {
	return slices.Insert(slices.Clone(f), 12, 0x81, 0x00, 0x00, 0x05)
}

// arp builds ARP: the sender has sha and spa.
func arp(op uint16, sha protocol.MAC, spa [4]byte, tha protocol.MAC, tpa [4]byte) []byte {
	p := binary.BigEndian.AppendUint16([]byte{0, 1, 8, 0, 6, 4}, op)
	return slices.Concat(p, sha[:], spa[:], tha[:], tpa[:])
}

// ip4 builds an IPv4 packet without options.
func ip4(src, dst [4]byte, proto byte, fragment uint16, payload []byte) []byte {
	p := []byte{0x45, 0}
	p = binary.BigEndian.AppendUint16(p, uint16(ipv4Len+len(payload)))
	p = binary.BigEndian.AppendUint16(append(p, 0, 1), fragment)
	return slices.Concat(append(p, 64, proto, 0, 0), src[:], dst[:], payload)
}

// udp builds a UDP datagram.
func udp(from, to uint16, body []byte) []byte {
	p := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	p = binary.BigEndian.AppendUint16(p, uint16(udpLen+len(body)))
	return append(append(p, 0, 0), body...)
}

func udp4(src, dst [4]byte, from, to uint16, body []byte) []byte {
	return ip4(src, dst, protoUDP, 0, udp(from, to, body))
}

// dhcpBody builds a DHCP message without options.
func dhcpBody(op byte, client protocol.MAC, address [4]byte) []byte {
	b := make([]byte, dhcpFixed+200)
	b[dhcpOp], b[1], b[dhcpLen] = op, 1, protocol.MACLen
	copy(b[dhcpClient:], address[:])
	copy(b[dhcpMAC:], client[:])
	return b
}

// ip6 builds an IPv6 packet.
func ip6(src, dst netip.Addr, next byte, payload []byte) []byte {
	p := []byte{0x60, 0, 0, 0}
	p = append(binary.BigEndian.AppendUint16(p, uint16(len(payload))), next, 255)
	s, d := src.As16(), dst.As16()
	return slices.Concat(p, s[:], d[:], payload)
}

// solicitation and the others build neighbour discovery; no link-layer address is in it
// if mac is zero.
func solicitation(target netip.Addr, mac protocol.MAC) []byte {
	return discovery(icmpNeighborSolicitation, optSource, target, mac)
}

func advertisement(target netip.Addr, mac protocol.MAC) []byte {
	return discovery(icmpNeighborAdvertisement, optTarget, target, mac)
}

func discovery(message, option byte, target netip.Addr, mac protocol.MAC) []byte {
	t := target.As16()
	p := append([]byte{message, 0, 0, 0, 0, 0, 0, 0}, t[:]...)
	if mac.IsZero() {
		return p
	}
	return append(append(p, option, 1), mac[:]...)
}

// extension builds an extension header of eight bytes.
func extension(next byte, after []byte) []byte {
	return append([]byte{next, 0, 1, 4, 0, 0, 0, 0}, after...)
}

// fragment6 builds a fragment header.
func fragment6(next byte, offset uint16, more bool, after []byte) []byte {
	v := offset << 3
	if more {
		v |= 1
	}
	return append(binary.BigEndian.AppendUint16([]byte{next, 0}, v), append([]byte{0, 0, 0, 1}, after...)...)
}
