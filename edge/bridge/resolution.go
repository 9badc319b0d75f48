package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// Resolution is what a frame of ARP or of IPv6 neighbour discovery says about one
// address, and which one it asks for. Its zero value says and asks nothing.
type Resolution struct {
	Has   netip.Addr // the source of the frame says that it has this one
	Flags Flags      // how it says so
	Asks  netip.Addr // it wants the hardware address of this one
	// Proxied says that another one than the owner of Asks may answer: the question
	// goes to many, and its answer is all that the asker wants.
	Proxied bool
}

// Flags are those of a neighbour advertisement (RFC 4861, section 4.4), as its owner
// sends it.
type Flags uint8

const (
	// FlagTold: the flags are known, which they are not of somebody who only asked.
	FlagTold Flags = 1 << iota
	// FlagRouter: it is a router.
	FlagRouter
	// FlagOverride: the answer counts more than what is known. It is not set for the
	// address of several hosts (anycast).
	FlagOverride
)

// The flags in the first byte of an advertisement's reserved field.
const (
	naRouter    = 0x80
	naSolicited = 0x40
	naOverride  = 0x20
)

const (
	arpReply     = 2
	discoveryHop = 255 // the hop limit of neighbour discovery: it passed no router
	solicitedLen = 24  // of a solicitation or an advertisement without options
)

// Resolves reports whether Resolution may say something: it is asked for each frame.
func (f *Parsed) Resolves() bool {
	return f.etherType == etherTypeARP || f.proto == protoICMPv6 && f.etherType == protocol.EtherTypeIPv6
}

// Resolution returns what the frame says and asks about addresses. That is nothing if it
// is not in the name of its own source, behind more than one tag (the inner VLANs may have
// the same addresses), or is none that hosts would believe.
//
// Probes say nothing and want their owner's own answer: ARP without a sender address
// (RFC 5227, section 2.1.1) and solicitations without a source (RFC 4862, section 5.4.2).
// So does what a host says unasked of its own address, by ARP or by advertisement.
func (f *Parsed) Resolution() (r Resolution) {
	switch {
	case f.payload > protocol.EthernetLen+protocol.VLANLen || f.Src().IsGroup():
	case f.etherType == etherTypeARP:
		r.readARP(f)
	case f.Resolves():
		r.readDiscovery(f)
	}
	return r
}

// readARP reads ARP (RFC 826).
func (r *Resolution) readARP(f *Parsed) {
	p := f.Payload()
	if !isARP(p) || binary.BigEndian.Uint16(p) != arpHardware || protocol.MAC(p[8:]) != f.Src() {
		return
	}
	sender, target := netip.AddrFrom4([4]byte(p[14:])), netip.AddrFrom4([4]byte(p[24:]))
	if !ofHost(sender) {
		return
	}
	switch binary.BigEndian.Uint16(p[6:]) {
	case arpReply:
		r.Has = sender
	case arpRequest:
		if r.Has = sender; target != sender && ofHost(target) {
			r.Asks, r.Proxied = target, f.Dst() == protocol.Broadcast
		}
	}
}

// readDiscovery reads a solicitation or an advertisement of IPv6.
func (r *Resolution) readDiscovery(f *Parsed) {
	p := f.Payload()
	n := int(binary.BigEndian.Uint16(p[4:]))
	if p[7] != discoveryHop || n < solicitedLen || ipv6Len+n > len(p) || icmpv6Sum(p[:ipv6Len+n]) != 0 {
		return
	}
	from, b := netip.AddrFrom16([16]byte(p[8:])), p[ipv6Len:ipv6Len+n]
	target := netip.AddrFrom16([16]byte(b[8:]))
	if b[1] != 0 || !ofHost(target) || !ofHost(from) {
		return
	}
	switch b[0] {
	case icmpNeighborSolicitation:
		given, alone, ok := f.linkLayer(b[solicitedLen:], optSource)
		if !ok || target == from {
			return
		}
		if r.Asks = target; given {
			// An option that is not known, such as a nonce, wants its owner's answer.
			r.Has, r.Proxied = from, alone && f.Dst().IsGroup()
		}
	case icmpNeighborAdvertisement:
		if _, _, ok := f.linkLayer(b[solicitedLen:], optTarget); ok {
			r.Has, r.Flags = target, flagsOf(b[4])
		}
	}
}

// linkLayer looks for the option with a hardware address. ok is false if that is not the
// frame's source, or the options are malformed; alone says that there is no other option.
func (f *Parsed) linkLayer(b []byte, want byte) (given, alone, ok bool) {
	for alone = true; len(b) > 0; {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return false, false, false
		}
		switch size := int(b[1]) * 8; {
		case b[0] != want:
			alone = false
		case size != 8 || protocol.MAC(b[2:]) != f.Src():
			return false, false, false
		default:
			given = true
		}
		b = b[int(b[1])*8:]
	}
	return given, alone, true
}

func flagsOf(b byte) Flags {
	flags := FlagTold
	if b&naRouter != 0 {
		flags |= FlagRouter
	}
	if b&naOverride != 0 {
		flags |= FlagOverride
	}
	return flags
}

// ofHost reports whether one host can have an address on a LAN.
func ofHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// AnswerLen is the length of the longest frame that AppendAnswer makes.
const AnswerLen = protocol.EthernetLen + protocol.VLANLen + ipv6Len + solicitedLen + 8

// AppendAnswer appends the answer to the question in the frame, as the owner of the
// address that it asks for gives it: an ARP reply, or a solicited advertisement with the
// owner's hardware address (RFC 4861, section 7.2.4). It is in the owner's name, so that
// the switches of the asker's LAN learn where the owner is. r is of the frame, and Asks.
func (f *Parsed) AppendAnswer(dst []byte, r *Resolution, owner protocol.MAC, flags Flags) []byte {
	at, asker := len(dst), f.Src()
	dst = append(append(dst, asker[:]...), owner[:]...)
	dst = append(dst, f.Frame[2*protocol.MACLen:f.payload]...) // the tag and the type
	if r.Asks.Is4() {
		p := f.Payload()
		dst = binary.BigEndian.AppendUint16(append(dst, p[:6]...), arpReply)
		dst = append(append(dst, owner[:]...), p[24:28]...)
		return pad(append(dst, p[8:18]...), at)
	}
	return appendAdvertisement(dst, r.Asks.As16(), [16]byte(f.Payload()[8:]), owner, flags)
}

// appendAdvertisement appends a solicited advertisement of an address from its owner.
func appendAdvertisement(dst []byte, address, to [16]byte, owner protocol.MAC, flags Flags) []byte {
	at := len(dst)
	dst = append(dst, 0x60, 0, 0, 0, 0, solicitedLen+8, protoICMPv6, discoveryHop)
	dst = append(append(dst, address[:]...), to[:]...)
	bits := byte(naSolicited)
	if flags&FlagRouter != 0 {
		bits |= naRouter
	}
	if flags&FlagOverride != 0 {
		bits |= naOverride
	}
	dst = append(dst, icmpNeighborAdvertisement, 0, 0, 0, bits, 0, 0, 0)
	dst = append(append(dst, address[:]...), optTarget, 1)
	dst = append(dst, owner[:]...)
	binary.BigEndian.PutUint16(dst[at+ipv6Len+2:], icmpv6Sum(dst[at:]))
	return dst
}
