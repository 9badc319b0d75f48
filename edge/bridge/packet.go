package bridge

import (
	"encoding/binary"

	"hedgerow/protocol"
)

// Parsed is a valid frame with the offsets of what is in it: where the Ethernet header
// with its tags ends, and the header of IP if it carries that. A frame is parsed once, by
// the queue that carries it, and asked for whatever somebody wants to know: who sent it
// (Sockets.Sent), of which class it is, what it claims. It is a view: it holds for as long
// as the frame's bytes are not changed.
type Parsed struct {
	protocol.Frame
	etherType uint16
	vlan      uint16
	proto     uint8
	payload   int // offset of what the Ethernet header is in front of
	upper     int // offset of what the IP header is in front of, if proto is not noProto
}

// noProto is the protocol of what is no IP, or a later fragment, or has no whole header of
// IP (the IANA registry reserves the number).
const noProto = 255

// Parse parses a frame, and reports whether it is valid: its Ethernet header and its tags
// are all there, however many these are. Nothing may be asked of one that is not.
func (f *Parsed) Parse(b protocol.Frame) (valid bool) {
	if len(b) < protocol.EthernetLen {
		return false
	}
	f.Frame, f.vlan, f.proto = b, 0, noProto
	at, etherType := protocol.EthernetLen, binary.BigEndian.Uint16(b[protocol.EthernetLen-2:])
	if protocol.IsTag(etherType) {
		if at, etherType = f.skipTags(etherType); at > len(b) {
			return false
		}
	}
	f.payload, f.etherType = at, etherType
	switch p := b[at:]; etherType {
	case protocol.EtherTypeIPv4:
		const laterFragment = 0x1fff
		if len(p) < ipv4Len || binary.BigEndian.Uint16(p[6:])&laterFragment != 0 {
			break
		}
		if header := int(p[0]&15) * 4; header >= ipv4Len {
			f.proto, f.upper = p[9], at+header
		}
	case protocol.EtherTypeIPv6:
		if len(p) >= ipv6Len {
			f.proto, f.upper = p[6], at+ipv6Len
		}
	}
	return true
}

// skipTags notes the VLAN of the outermost tag. It returns where the tags end, more than
// the frame has if it ends within one, and the EtherType behind them.
func (f *Parsed) skipTags(etherType uint16) (int, uint16) {
	at := protocol.EthernetLen
	for protocol.IsTag(etherType) {
		if at += protocol.VLANLen; at > len(f.Frame) {
			return at, etherType
		}
		etherType = binary.BigEndian.Uint16(f.Frame[at-2:])
	}
	f.vlan = binary.BigEndian.Uint16(f.Frame[protocol.EthernetLen:]) & 0x0fff
	return at, etherType
}

// EtherType returns the type behind all tags. Values below 0x0600 are lengths (IEEE 802.3).
func (f *Parsed) EtherType() uint16 { return f.etherType }

// VLAN returns the identifier of the outermost tag, 0 without one.
func (f *Parsed) VLAN() uint16 { return f.vlan }

// Payload returns the bytes behind the Ethernet header and its tags, padding among them.
func (f *Parsed) Payload() []byte { return f.Frame[f.payload:] }

// Source returns the station that the frame says it is from.
func (f *Parsed) Source() Key { return Key{VLAN: f.vlan, MAC: f.Src()} }

// Destination returns the station, or the group, that the frame is for.
func (f *Parsed) Destination() Key { return Key{VLAN: f.vlan, MAC: f.Dst()} }

// ports returns the ports of TCP or UDP right behind the header of IP. ok is false for
// anything else.
func (f *Parsed) ports() (from, to uint16, ok bool) {
	if f.proto != protoUDP && f.proto != protoTCP || len(f.Frame) < f.upper+4 {
		return 0, 0, false
	}
	p := f.Frame[f.upper:]
	return binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:]), true
}

// hasPort reports whether a port is one of two.
func (f *Parsed) hasPort(one, other uint16) bool {
	from, to, ok := f.ports()
	return ok && (from == one || from == other || to == one || to == other)
}

// IPv4 returns the protocol of an IPv4 packet, and what is behind its header without the
// padding of the frame. more says that the rest is in other fragments. ok is false for
// anything else, and for a later fragment.
func (f *Parsed) IPv4() (proto uint8, body []byte, more, ok bool) {
	const moreFragments = 0x20
	if f.etherType != protocol.EtherTypeIPv4 || f.proto == noProto {
		return 0, nil, false, false
	}
	p, header := f.Payload(), f.upper-f.payload
	if total := int(binary.BigEndian.Uint16(p[2:])); total < len(p) {
		p = p[:total]
	}
	if len(p) < header {
		return 0, nil, false, false
	}
	return f.proto, p[header:], p[6]&moreFragments != 0, true
}

// Extent says how much of an IPv6 packet a frame has.
type Extent uint8

const (
	// Whole: all of it, as far as its headers say.
	Whole Extent = iota
	// First: the beginning, and the rest is in other fragments.
	First
	// Later: no header, since the first fragment had those.
	Later
	// Short: less than its headers say, so that hosts drop it.
	Short
	// Endless: more extension headers than are followed, maxHeaders.
	Endless
)

// IPv6 returns what is behind the extension headers of an IPv6 packet without the
// padding of the frame, and its protocol; body is nil if the frame does not have it. For a
// frame of something else its extent is Short.
func (f *Parsed) IPv6() (proto uint8, body []byte, e Extent) {
	if f.etherType != protocol.EtherTypeIPv6 || f.proto == noProto {
		return noProto, nil, Short
	}
	p := f.Payload()
	if n := int(binary.BigEndian.Uint16(p[4:])); n > 0 && ipv6Len+n < len(p) {
		p = p[:ipv6Len+n]
	}
	return upperLayer(p)
}

// upperLayer follows the extension headers of an IPv6 packet whose header is whole.
func upperLayer(p []byte) (proto uint8, body []byte, e Extent) {
	proto, at, missing := p[6], ipv6Len, Short
	for range maxHeaders {
		switch proto {
		case extHopByHop, extRouting, extDestination, extMobility, extHIP, extShim6, extAH, extFragment:
		default:
			return proto, p[at:], e
		}
		if at+8 > len(p) {
			return proto, nil, missing
		}
		size := 8 + int(p[at+1])*8
		switch proto {
		case extFragment:
			const offset = 0xfff8
			if binary.BigEndian.Uint16(p[at+2:])&offset != 0 {
				return proto, nil, Later
			}
			size, e, missing = 8, First, First
		case extAH:
			size = 8 + int(p[at+1])*4
		}
		if proto = p[at]; at+size > len(p) {
			return proto, nil, missing
		}
		at += size
	}
	return proto, nil, Endless
}
