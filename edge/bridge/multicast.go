package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// Family is a version of IP, by which multicast routers and queriers differ.
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6
	families
)

// Group is an IP multicast group in a VLAN; 0 stands for untagged. An IPv4 group is
// written as in IPv6 (RFC 4291, section 2.5.5.2).
type Group struct {
	VLAN uint16
	IP   [16]byte
}

// mapped is what an IPv4 group begins with.
var mapped = [12]byte{10: 0xff, 11: 0xff}

func group4(vlan uint16, ip [4]byte) (g Group) {
	g.VLAN = vlan
	copy(g.IP[copy(g.IP[:], mapped[:]):], ip[:])
	return g
}

// Family returns the version of IP of the group.
func (g *Group) Family() Family {
	if g.IP[0] == 0xff {
		return IPv6
	}
	return IPv4
}

// Addr returns the address of the group.
func (g *Group) Addr() netip.Addr { return netip.AddrFrom16(g.IP).Unmap() }

// everywhere reports whether frames to the group go to everybody: it is of a link, whose
// protocols depend on that, and hosts join many of these without a word (RFC 4541,
// sections 2.1.2 (2) and 3; RFC 4291, section 2.7: scopes 0 to 2).
func (g *Group) everywhere() bool {
	if g.Family() == IPv6 {
		return g.IP[1]&15 <= 2
	}
	return g.IP[12] == 224 && g.IP[13] == 0 && g.IP[14] == 0
}

// Snooped reports whether the destination of a frame is that of an IP multicast group,
// which has members: it is asked for each frame that is flooded.
func Snooped(dst protocol.MAC) bool {
	return dst[0] == 0x33 && dst[1] == 0x33 || dst[0] == 1 && dst[1] == 0 && dst[2] == 0x5e && dst[3] < 0x80
}

// multicast is an IP multicast packet in a frame.
type multicast struct {
	group Group  // its destination
	proto byte   // what is in it; noProto: a fragment, or too little
	ip    []byte // the packet
	body  []byte // what is in it, without padding
}

// multicastOf reads the packet in a frame to a group. ok is false if it is no IP
// multicast, or not for the group that the hardware address stands for (RFC 1112,
// section 6.4; RFC 2464, section 7): such frames go to everybody, and so do frames with two
// tags, or one of a provider, since nobody is asked for memberships there.
func multicastOf(f *Parsed) (m multicast, ok bool) {
	if f.payload > protocol.EthernetLen && (f.payload > protocol.EthernetLen+protocol.VLANLen || binary.BigEndian.Uint16(f.Frame[12:]) != protocol.EtherTypeVLAN) {
		return m, false
	}
	p, dst := f.Payload(), f.Dst()
	switch f.etherType {
	case protocol.EtherTypeIPv4:
		if len(p) < ipv4Len || p[0]>>4 != 4 || p[16]>>4 != 14 || dst[0] != 1 ||
			[3]byte(dst[3:]) != [3]byte{p[17] & 0x7f, p[18], p[19]} {
			return m, false
		}
		m = multicast{group: group4(f.vlan, [4]byte(p[16:])), proto: noProto, ip: p}
		if proto, body, more, whole := f.IPv4(); whole && !more {
			m.proto, m.body = proto, body
		}
	case protocol.EtherTypeIPv6:
		if len(p) < ipv6Len || p[0]>>4 != 6 || p[24] != 0xff || dst[0] != 0x33 || [4]byte(dst[2:]) != [4]byte(p[36:]) {
			return m, false
		}
		m = multicast{group: Group{VLAN: f.vlan, IP: [16]byte(p[24:])}, proto: noProto, ip: p}
		if proto, body, extent := f.IPv6(); extent == Whole {
			m.proto, m.body = proto, body
		}
	default:
		return m, false
	}
	return m, true
}

// Protocols of IP that say where members and multicast routers are (IANA registry).
const (
	protoIGMP = 2
	protoPIM  = 103
)

// speaks reports whether the packet is of such a protocol.
func (m *multicast) speaks() bool {
	if m.proto == protoPIM {
		return true
	}
	if m.group.Family() == IPv6 {
		return m.proto == protoICMPv6 && len(m.body) > 0 && mldType(m.body[0])
	}
	return m.proto == protoIGMP
}

// message is what a packet says about members.
type message struct {
	kind    messageKind
	subject Group // of Joined, Left, and of Asks; zero in the latter: of all groups

	respond   int64 // Asks: within how many nanoseconds hosts answer
	nameless  bool  // Asks: the source is 0.0.0.0, which no router has (RFC 4541, section 2.1.1)
	lingering bool  // Asks: of some sources only, or not to be acted upon (RFC 3376, section 4.1.5)

	records []byte // Records: what eachRecord reads
	count   int    // Records: how many there are
}

// messageKind is one kind of message.
type messageKind uint8

const (
	silent  messageKind = iota // says nothing about members
	asks                       // a query
	joined                     // a report of IGMPv1, IGMPv2 or MLDv1
	left                       // a leave or done message of these
	records                    // a report of IGMPv3 or MLDv2
	routes                     // its sender is a multicast router
)

// read returns what a packet that speaks says. What hosts would not believe says nothing.
func (m *multicast) read() message {
	switch b := m.body; {
	case len(b) < 8:
	case m.group.Family() == IPv6:
		return m.readIPv6(b)
	case !sums(m.ip[:int(m.ip[0]&15)*4], 0):
	case m.proto == protoPIM:
		return m.readPIM(b)
	case sums(b, 0):
		return m.readIGMP(b)
	}
	return message{}
}

// lastByte returns the last byte of the destination.
func (m *multicast) lastByte() byte { return m.group.IP[15] }

// Groups of IPv4's link that routers talk on (IANA registry): the last byte of each.
const (
	allHosts    = 1
	allRouters  = 2
	allPIM      = 13   // and ff02::d
	allSnoopers = 0x6a // 224.0.0.106 and ff02::6a, RFC 4286
)

// readPIM takes whoever speaks PIM to its neighbours for a router (RFC 7761, section
// 4.9: version 2).
func (m *multicast) readPIM(b []byte) message {
	if m.group.everywhere() && m.lastByte() == allPIM && b[0]>>4 == 2 {
		return message{kind: routes}
	}
	return message{}
}

// Messages of IGMP (RFC 2236, RFC 3376, section 4; RFC 1075; RFC 4286, section 3.2.1).
const (
	igmpQuery    = 0x11
	igmpReportV1 = 0x12
	igmpDVMRP    = 0x13
	igmpReportV2 = 0x16
	igmpLeave    = 0x17
	igmpReportV3 = 0x22
	igmpRouter   = 0x30

	igmpLen        = 8
	igmpV3QueryLen = 12
)

// readIGMP reads a message of eight bytes or more.
func (m *multicast) readIGMP(b []byte) message {
	subject := group4(m.group.VLAN, [4]byte(b[4:]))
	switch b[0] {
	case igmpQuery:
		return m.readQuery4(b, subject)
	case igmpReportV1, igmpReportV2:
		if subject == m.group {
			return message{kind: joined, subject: subject}
		}
	case igmpLeave:
		if b[4]>>4 == 14 {
			return message{kind: left, subject: subject}
		}
	case igmpReportV3:
		return message{kind: records, records: b[8:], count: int(binary.BigEndian.Uint16(b[6:]))}
	case igmpDVMRP:
		return message{kind: routes}
	case igmpRouter:
		if m.group.everywhere() && m.lastByte() == allSnoopers {
			return message{kind: routes}
		}
	}
	return message{}
}

// readQuery4 reads a query of IGMP.
func (m *multicast) readQuery4(b []byte, subject Group) message {
	q := message{kind: asks, respond: int64(b[1]) * 1e8, nameless: [4]byte(m.ip[12:]) == [4]byte{}}
	if b[1] == 0 { // IGMPv1
		q.respond = 10e9
	}
	if [4]byte(b[4:]) != [4]byte{} {
		q.subject = subject
	}
	if len(b) > igmpLen {
		if !q.takes(b, igmpV3QueryLen) {
			return message{}
		}
		q.respond = int64(floating(uint32(b[1]), 7, 4)) * 1e8
	}
	return q.addressed(m)
}

// takes reads the end of a query of IGMPv3 or MLDv2, which is that long without sources. It
// reports whether hosts take it: it is whole, and names no sources of no group.
func (q *message) takes(b []byte, size int) bool {
	if len(b) < size {
		return false
	}
	sources := binary.BigEndian.Uint16(b[size-2:])
	q.lingering = b[size-4]&8 != 0 || sources != 0
	return sources == 0 || q.subject != Group{}
}

// addressed returns the query if hosts take it: one for all groups goes to all hosts, any
// other to the group that it asks for (RFC 3376, section 4.1.12).
func (q message) addressed(m *multicast) message {
	if q.subject == (Group{}) && m.group.everywhere() && m.lastByte() == allHosts || q.subject == m.group {
		return q
	}
	return message{}
}

// floating returns the value of a time (RFC 3376, section 4.1.1; RFC 3810, section
// 5.1.3): as it is below 2^top, and from there on with three bits of exponent and mant
// bits of mantissa.
func floating(v uint32, top, mant int) uint32 {
	if v < 1<<top {
		return v
	}
	return (v&(1<<mant-1) | 1<<mant) << (v>>mant&7 + 3)
}

// Messages of MLD among those of ICMPv6 (RFC 2710, RFC 3810; RFC 4286).
const (
	mldQuery    = 130
	mldReportV1 = 131
	mldDone     = 132
	mldReportV2 = 143
	mldRouter   = 151

	mldLen        = 24
	mldV2QueryLen = 28
)

// readIPv6 reads MLD, and who is a router. MLD comes from the link itself (RFC 3810,
// sections 5.1.14 and 5.2.13; RFC 3590).
func (m *multicast) readIPv6(b []byte) message {
	if m.proto == protoPIM {
		return m.readPIM(b)
	}
	local := m.ip[8] == 0xfe && m.ip[9]&0xc0 == 0x80
	unnamed := [16]byte(m.ip[8:]) == [16]byte{}
	if m.ip[7] != 1 || !local && !unnamed || !m.alerts() || !sums(b, m.pseudoHeader()) {
		return message{}
	}
	switch {
	case b[0] == mldReportV2:
		return message{kind: records, records: b[8:], count: int(binary.BigEndian.Uint16(b[6:]))}
	case b[0] == mldRouter:
		if local && m.group.everywhere() && m.lastByte() == allSnoopers {
			return message{kind: routes}
		}
	case len(b) >= mldLen:
		return m.readMLD(b, local)
	}
	return message{}
}

// alerts reports whether an IPv6 packet has the router alert of MLD, without which hosts
// take none (RFC 2711; RFC 3810, section 6.2).
func (m *multicast) alerts() bool {
	if m.ip[6] != extHopByHop {
		return false
	}
	options := m.ip[ipv6Len+2:]
	options = options[:min(len(options), 6+int(m.ip[ipv6Len+1])*8)]
	for len(options) >= 4 {
		if [4]byte(options) == [4]byte{5, 2, 0, 0} {
			return true
		}
		if options[0] == 0 { // Pad1
			options = options[1:]
			continue
		}
		options = options[min(len(options), 2+int(options[1])):]
	}
	return false
}

func mldType(t byte) bool {
	return t >= mldQuery && t <= mldDone || t == mldReportV2 || t == mldRouter
}

// readMLD reads a message with one group.
func (m *multicast) readMLD(b []byte, local bool) message {
	subject := Group{VLAN: m.group.VLAN, IP: [16]byte(b[8:])}
	switch {
	case b[0] == mldQuery && local:
		q := message{kind: asks, respond: int64(binary.BigEndian.Uint16(b[4:])) * 1e6}
		if subject.IP != ([16]byte{}) {
			q.subject = subject
		}
		if len(b) > mldLen {
			if !q.takes(b, mldV2QueryLen) {
				return message{}
			}
			q.respond = int64(floating(uint32(binary.BigEndian.Uint16(b[4:])), 15, 12)) * 1e6
		}
		return q.addressed(m)
	case b[0] == mldReportV1 && subject == m.group:
		return message{kind: joined, subject: subject}
	case b[0] == mldDone && b[8] == 0xff:
		return message{kind: left, subject: subject}
	}
	return message{}
}

// pseudoHeader returns the sum of what ICMPv6 covers besides itself (RFC 8200, section
// 8.1).
func (m *multicast) pseudoHeader() uint32 {
	return sum(m.ip[8:ipv6Len], uint32(len(m.body))+protoICMPv6)
}

// Records of a report of IGMPv3 or MLDv2 (RFC 3376, section 4.2.12; RFC 3810, section
// 5.2.12).
const (
	recordIsInclude = 1
	recordIsExclude = 2
	recordToInclude = 3
	recordToExclude = 4
	recordAllow     = 5
)

// nextRecord takes one record from a report. in says that there is a member, out that one
// has left: it wants no source any more. Which sources it wants is nobody's business here.
func (r *message) nextRecord(vlan uint16, f Family) (g Group, in, out, ok bool) {
	size := 4 + 4
	if f == IPv6 {
		size = 4 + 16
	}
	if r.count == 0 || len(r.records) < size {
		return g, false, false, false
	}
	b, sources := r.records, int(binary.BigEndian.Uint16(r.records[2:]))
	if f == IPv6 {
		g = Group{VLAN: vlan, IP: [16]byte(b[4:])}
		ok = b[4] == 0xff
	} else {
		g = group4(vlan, [4]byte(b[4:]))
		ok = b[4]>>4 == 14
	}
	size += sources*(size-4) + int(b[1])*4
	if !ok || len(b) < size {
		return g, false, false, false
	}
	r.count, r.records = r.count-1, b[size:]
	switch b[0] {
	case recordIsExclude, recordToExclude:
		in = true
	case recordIsInclude, recordAllow:
		in = sources > 0
	case recordToInclude:
		in, out = sources > 0, sources == 0
	}
	return g, in, out, true
}

// sums reports whether the checksum in b is right, together with what was summed already
// (RFC 1071).
func sums(b []byte, more uint32) bool { return fold(sum(b, more)) == 0xffff }

// sum adds b to a sum of 16-bit words. It does not overflow with the length of a frame.
func sum(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
