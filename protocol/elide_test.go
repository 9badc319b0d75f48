package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// tagged returns a frame with the given tags in front of the EtherType.
func tagged(etherType uint16, payload []byte, tags ...uint32) []byte {
	b := testFrame(0, nil)[:12]
	for _, tag := range tags {
		b = binary.BigEndian.AppendUint32(b, tag)
	}
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

// TestInnerOverhead holds that the overhead is what encoding adds.
func TestInnerOverhead(t *testing.T) {
	ip := []byte("some IP packet of enough bytes")
	for _, frame := range [][]byte{
		tagged(EtherTypeIPv4, ip), tagged(EtherTypeIPv6, ip), tagged(0x0806, ip), tagged(EtherTypeIPv4, ip, 0x81000001),
		tagged(EtherTypeIPv6, ip, 0x81000001), tagged(0x0806, ip, 0x81000001), tagged(EtherTypeIPv4, ip, 0x81000001, 0x81000002),
	} {
		for _, elide := range []bool{false, true} {
			for _, partial := range []bool{false, true} {
				const off = 5
				buf := append(make([]byte, off), frame...)
				want := InnerOverhead(frame, elide, partial)
				start := EncodeFrame(buf, off, len(frame), elide)
				if partial {
					copy(buf[off:], frame)
					start = EncodePartialFrame(buf, off, len(frame), elide, 34, 16)
				}
				if got := len(buf) - start - len(frame); got != want {
					t.Errorf("%x elided %v partial %v: %d, want %d", frame[:18], elide, partial, got, want)
				}
			}
		}
	}
}

func TestEncodeFrame(t *testing.T) {
	ip := []byte("some IP packet")
	tests := []struct {
		name  string
		frame []byte
		elide bool
		want  []byte // the inner
	}{
		{"full", tagged(EtherTypeIPv4, ip), false, append([]byte{0}, tagged(EtherTypeIPv4, ip)...)},
		{"ipv4", tagged(EtherTypeIPv4, ip), true, append([]byte{0x40}, ip...)},
		{"ipv6", tagged(EtherTypeIPv6, ip), true, append([]byte{0x50}, ip...)},
		{"vlan ipv4", tagged(EtherTypeIPv4, ip, 0x8100a123), true, append([]byte{0x60, 0xa1, 0x23}, ip...)},
		{"vlan ipv6", tagged(EtherTypeIPv6, ip, 0x81000001), true, append([]byte{0x70, 0, 1}, ip...)},
		{"arp", tagged(0x0806, ip), true, append([]byte{0}, tagged(0x0806, ip)...)},
		{"vlan arp", tagged(0x0806, ip, 0x81000001), true, append([]byte{0}, tagged(0x0806, ip, 0x81000001)...)},
		{"two tags", tagged(EtherTypeIPv4, ip, 0x81000001, 0x81000002), true, append([]byte{0}, tagged(EtherTypeIPv4, ip, 0x81000001, 0x81000002)...)},
		{"service tag", tagged(EtherTypeIPv4, ip, 0x88a80001), true, append([]byte{0}, tagged(EtherTypeIPv4, ip, 0x88a80001)...)},
		{"no payload", tagged(EtherTypeIPv4, nil), true, []byte{0x40}},
		{"cut tag", tagged(0x8100, []byte{0, 1}), true, append([]byte{0}, tagged(0x8100, []byte{0, 1})...)},
		{"too short", []byte{1, 2, 3}, true, []byte{0, 1, 2, 3}},
	}
	for _, tt := range tests {
		const off = 5
		buf := append(bytes.Repeat([]byte{0xee}, off), tt.frame...)
		start := EncodeFrame(buf, off, len(tt.frame), tt.elide)
		if got := buf[start:]; !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, got, tt.want)
			continue
		}
		if !bytes.Equal(buf[:off-1], bytes.Repeat([]byte{0xee}, off-1)) {
			t.Errorf("%s: wrote in front of the inner", tt.name)
		}
		if Frame(tt.frame).Valid() != nil {
			continue
		}
		// Into the middle of a buffer, to see what else is written.
		room := append(bytes.Repeat([]byte{0xee}, 40), tt.want...)
		at, n, _, err := DecodeFrame(room, 40, len(room), testSelf, testPeer)
		if err != nil || !bytes.Equal(room[at:at+n], tt.frame) {
			t.Errorf("%s: decodes to %x, %v", tt.name, room[at:at+n], err)
		}
		if !bytes.Equal(room[:25], bytes.Repeat([]byte{0xee}, 25)) {
			t.Errorf("%s: wrote more than 15 bytes in front of the inner", tt.name)
		}
	}
}

func TestDecodeFrameRoom(t *testing.T) {
	tests := []struct {
		inner []byte
		room  int // the least in front
	}{
		{[]byte("\x40E"), 13},
		{[]byte("\x50`"), 13},
		{[]byte("\x60\x00\x01E"), 15},
		{append([]byte{0}, tagged(0x0806, nil)...), 0},
	}
	for _, tt := range tests {
		for start := range 20 {
			buf := append(make([]byte, start), tt.inner...)
			_, _, _, err := DecodeFrame(buf, start, len(buf), testSelf, testPeer)
			if want := start >= tt.room; (err == nil) != want {
				t.Errorf("%x behind %d bytes: %v", tt.inner, start, err)
			}
			if err != nil && !errors.Is(err, ErrRoom) {
				t.Errorf("%x behind %d bytes: %v, want %v", tt.inner, start, err, ErrRoom)
			}
		}
	}
}

// ipv4Packet returns an IPv4 packet with the header words given.
func ipv4Packet(words int, proto byte, fragment uint16, transport int) []byte {
	b := make([]byte, 4*words+transport)
	b[0] = 4<<4 | byte(words)
	b[9] = proto
	binary.BigEndian.PutUint16(b[6:], fragment)
	return b
}

// ipv6Packet returns an IPv6 packet with extension headers of 8 bytes.
func ipv6Packet(transport int, headers ...byte) []byte {
	b := make([]byte, 40+8*(len(headers)-1)+transport)
	b[0], b[6] = 6<<4, headers[0]
	for i, h := range headers[1:] {
		b[40+8*i] = h
	}
	return b
}

func TestChecksumField(t *testing.T) {
	many := bytes.Repeat([]byte{protoDestOptions}, maxExtensions)
	tests := []struct {
		name          string
		frame         []byte
		start, offset int
		ok            bool
	}{
		{"ipv4 tcp", tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 20)), 34, 16, true},
		{"ipv4 udp", tagged(EtherTypeIPv4, ipv4Packet(5, 17, 0x4000, 8)), 34, 6, true},
		{"ipv4 options", tagged(EtherTypeIPv4, ipv4Packet(15, 6, 0, 20)), 74, 16, true},
		{"tag", tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 20), 0x81000001), 38, 16, true},
		{"two tags", tagged(EtherTypeIPv6, ipv6Packet(8, 17), 0x88a80001, 0x81000001), 62, 6, true},
		{"ipv6 tcp", tagged(EtherTypeIPv6, ipv6Packet(20, 6)), 54, 16, true},
		{"ipv6 extensions", tagged(EtherTypeIPv6, ipv6Packet(20, 0, 43, 60, 6)), 78, 16, true},
		{"ipv6 too many", tagged(EtherTypeIPv6, ipv6Packet(20, append(many, 6)...)), 0, 0, false},
		{"ipv6 fragment", tagged(EtherTypeIPv6, ipv6Packet(20, 44, 6)), 0, 0, false},
		{"ipv6 cut extension", tagged(EtherTypeIPv6, ipv6Packet(7, 0)), 0, 0, false},
		{"ipv6 icmp", tagged(EtherTypeIPv6, ipv6Packet(20, 58)), 0, 0, false},
		{"ipv6 cut", tagged(EtherTypeIPv6, ipv6Packet(0, 6)[:39]), 0, 0, false},
		{"ipv4 first fragment", tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0x2000, 20)), 0, 0, false},
		{"ipv4 later fragment", tagged(EtherTypeIPv4, ipv4Packet(5, 6, 1, 20)), 0, 0, false},
		{"ipv4 icmp", tagged(EtherTypeIPv4, ipv4Packet(5, 1, 0, 20)), 0, 0, false},
		{"ipv4 cut tcp", tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 19)), 0, 0, false},
		{"ipv4 cut udp", tagged(EtherTypeIPv4, ipv4Packet(5, 17, 0, 7)), 0, 0, false},
		{"ipv4 short header", tagged(EtherTypeIPv4, ipv4Packet(4, 6, 0, 40)), 0, 0, false},
		{"ipv4 long header", tagged(EtherTypeIPv4, ipv4Packet(15, 6, 0, 20)[:40]), 0, 0, false},
		{"ipv6 in ipv4's type", tagged(EtherTypeIPv4, ipv6Packet(20, 6)), 0, 0, false},
		{"ipv4 in ipv6's type", tagged(EtherTypeIPv6, ipv4Packet(5, 6, 0, 40)), 0, 0, false},
		{"arp", tagged(0x0806, make([]byte, 28)), 0, 0, false},
	}
	for _, tt := range tests {
		start, offset, ok := Frame(tt.frame).ChecksumField()
		if start != tt.start || offset != tt.offset || ok != tt.ok {
			t.Errorf("%s: %d, %d, %t, want %d, %d, %t", tt.name, start, offset, ok, tt.start, tt.offset, tt.ok)
		}
	}
}

func TestPartialFrame(t *testing.T) {
	for _, elide := range []bool{false, true} {
		for _, frame := range [][]byte{
			tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 20)),
			tagged(EtherTypeIPv6, ipv6Packet(8, 17), 0x81000005),
		} {
			s, o, ok := Frame(frame).ChecksumField()
			if !ok {
				t.Fatal("no checksum")
			}
			const off = 18
			buf := append(make([]byte, off), frame...)
			start := EncodePartialFrame(buf, off, len(frame), elide, uint8(s), uint8(o))
			inner := append(make([]byte, off), buf[start:]...)
			at, n, in, err := DecodeFrame(inner, off, len(inner), testSelf, testPeer)
			if err != nil || !in.Partial || int(in.CsumStart) != s || int(in.CsumOffset) != o {
				t.Fatalf("elide %t: %+v, %v", elide, in, err)
			}
			if !bytes.Equal(inner[at:at+n], frame) {
				t.Errorf("elide %t: %x, want %x", elide, inner[at:at+n], frame)
			}
		}
	}
}

func TestAppendPaddingRefuses(t *testing.T) {
	for _, tt := range []struct {
		inner []byte
		n     int
	}{{[]byte{0x80}, 1}, {[]byte{0x80}, 0x10000}, {[]byte{0x84, 0, 2}, 2}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%x by %d: no panic", tt.inner, tt.n)
				}
			}()
			AppendPadding(tt.inner, tt.n)
		}()
	}
}

func TestFrame(t *testing.T) {
	f := Frame(tagged(EtherTypeIPv6, []byte("payload"), 0x88a8e001, 0x81000002))
	if err := f.Valid(); err != nil {
		t.Fatal(err)
	}
	if f.Dst() != testSelf || f.Src() != testPeer || f.EtherType() != EtherTypeIPv6 || string(f.Payload()) != "payload" {
		t.Errorf("%s %s %04x %q", f.Dst(), f.Src(), f.EtherType(), f.Payload())
	}
	for n := range len(f) {
		if err := f[:n].Valid(); (err == nil) != (n >= 22) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
