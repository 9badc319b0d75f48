package edge

import (
	"encoding/binary"
	"net/netip"
)

// frame returns a frame that somebody may have sent.
func (b *besieged) frame(m *farMember) []byte {
	dst, src := b.mac(), b.mac()
	if b.tape.Pick(2) == 0 {
		src = m.MAC
	}
	if b.tape.Pick(2) == 0 {
		dst = b.self.mac
	}
	f := append(append([]byte(nil), dst[:]...), src[:]...)
	for range b.tape.Pick(8) / 6 {
		f = binary.BigEndian.AppendUint16(append(f, 0x81, 0), uint16(b.tape.Number()))
	}
	types := [...]uint16{0x0800, 0x0806, 0x86dd, 0x88b5, 0x8035, 0x88cc, 0x0027, 0x05ff}
	f = binary.BigEndian.AppendUint16(f, types[b.tape.Pick(len(types))])
	switch b.tape.Pick(8) {
	case 0:
		ip, mac := b.prefix().Addr(), b.mac()
		a := ip.As16()
		f = append(append(append(f, 0, 1, 8, 0, 6, 4, 0, 1+b.tape.Byte()%4), mac[:]...), a[12:]...)
	case 1: // neighbour discovery
		from, to, t := b.prefix().Addr().As16(), netip.MustParseAddr("ff02::1").As16(), b.prefix().Addr().As16()
		f = append(append(append(f, 0x60, 0, 0, 0, 0, 32, 58, 255), from[:]...), to[:]...)
		f = append(append(append(f, 133+b.tape.Byte()%5, 0, 0, 0, 0, 0, 0, 0), t[:]...), 1+b.tape.Byte()%2, 1, 0, 0, 0, 0, 0, b.tape.Byte())
	case 2: // DHCP
		f = append(f, 0x45, 0, 1, 12, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255)
		f = append(f, 0, 67+b.tape.Byte()%2, 0, 67+b.tape.Byte()%2, 0, 248, 0, 0, 1+b.tape.Byte()%2, 1, 6)
		f = append(f, make([]byte, 237)...)
	case 4:
		return b.igmp(f)
	case 5:
		return b.mld(f)
	case 3: // TCP
		f = append(f, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 64, 0, 8, 10, 64, 0, 7)
		f = append(f, 0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50+b.tape.Byte()&0xf0, b.tape.Byte(), 1, 0, 0, 0, 0, 0)
	}
	return append(append(f, b.tape.Bytes(int(b.tape.Byte()))...), make([]byte, b.tape.Number()%600)...)
}

// igmp returns a message of IGMP of the sender of a frame, whose checksum is right.
func (b *besieged) igmp(f []byte) []byte {
	group := [4]byte{239, 1, b.tape.Byte() & 3, b.tape.Byte()}
	to := [...][4]byte{group, {224, 0, 0, 1}, {224, 0, 0, 22}, {224, 0, 0, 2}}[b.tape.Pick(4)]
	f = append(append(f[:0], 1, 0, 0x5e, to[1]&0x7f, to[2], to[3]), f[6:12]...)
	body := []byte{[...]byte{0x11, 0x12, 0x16, 0x17, 0x22}[b.tape.Pick(5)], b.tape.Byte(), 0, 0}
	if body[0] == 0x22 { // reports of IGMPv3: records
		n := b.tape.Byte() % 8
		body = append(body, 0, 0, 0, n)
		for range n {
			sources := b.tape.Byte() % 3
			body = append(append(body, b.tape.Byte()%8, 0, 0, sources, 239, 1, b.tape.Byte()&3, b.tape.Byte()), make([]byte, 4*int(sources))...)
		}
	} else {
		body = append(append(body, group[:]...), b.tape.Bytes(b.tape.Pick(12))...)
	}
	complete(body, 0)
	f = append(f, 8, 0, 0x46, 0xc0, 0, byte(24+len(body)), 0, 0, 0, 0, 1, 2, 0, 0, 10, 64, 0, 8, to[0], to[1], to[2], to[3], 0x94, 4, 0, 0)
	return append(f, body...)
}

// mld returns the same of MLD.
func (b *besieged) mld(f []byte) []byte {
	group := [16]byte{0xff, 0x15, 14: b.tape.Byte() & 3, 15: b.tape.Byte()}
	to := [...][16]byte{group, {0xff, 2, 15: 1}, {0xff, 2, 15: 0x16}, {0xff, 2, 15: 0x6a}}[b.tape.Pick(4)]
	from := [16]byte{0xfe, 0x80, 15: 9}
	f = append(append(f[:0], 0x33, 0x33, to[12], to[13], to[14], to[15]), f[6:12]...)
	body := []byte{[...]byte{130, 131, 132, 143, 151}[b.tape.Pick(5)], 0, 0, 0}
	if body[0] == 143 {
		n := b.tape.Byte() % 8
		body = append(body, 0, 0, 0, n)
		for range n {
			sources := b.tape.Byte() % 3
			body = append(append(body, b.tape.Byte()%8, 0, 0, sources), group[:]...)
			body = append(body, make([]byte, 16*int(sources))...)
		}
	} else {
		body = append(append(append(body, b.tape.Byte(), b.tape.Byte(), 0, 0), group[:]...), b.tape.Bytes(b.tape.Pick(12))...)
	}
	complete(body, total(to[:], total(from[:], uint32(len(body))+58)))
	f = append(append(append(f, 0x86, 0xdd, 0x60, 0, 0, 0, byte((8+len(body))>>8), byte(8+len(body)), 0, 1), from[:]...), to[:]...)
	return append(append(f, 58, 0, 5, 2, 0, 0, 1, 0), body...)
}

// complete sets the checksum (RFC 1071) at the third byte of a message, which is 0 there,
// together with what was summed already.
func complete(b []byte, s uint32) {
	for s = total(b, s); s > 0xffff; {
		s = s>>16 + s&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(s))
}

// total adds b to a sum of 16-bit words.
func total(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	return s
}
