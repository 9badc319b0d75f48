package offload

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The TOS is found in frames of any shape, and a frame with another ECN field is the one
// that gopacket builds with it, checksums included.
func TestTOS(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		s := random(r, r.IntN(100))
		frame := s.frame(t)
		if tos, ok := TOS(frame); tos != s.tos || !ok {
			t.Fatalf("%+v: TOS %#x, %t", s, tos, ok)
		}
		ecn := uint8(r.IntN(4))
		SetECN(frame, ecn)
		s.tos = s.tos&^3 | ecn
		if want := s.frame(t); !bytes.Equal(frame, want) {
			t.Fatalf("%+v:\n%x, want\n%x", s, frame, want)
		}
	}
}

// An IPv4 checksum that is wrong stays wrong by as much, so that whoever gets the frame
// still sees that it is damaged.
func TestSetECNOfDamagedHeader(t *testing.T) {
	s := plain(false, true)
	frame := s.frame(t)
	frame[etherLen+8]-- // the TTL, but not the checksum
	SetECN(frame, 3)
	s.tos = 3
	want := s.frame(t)
	want[etherLen+8]--
	if !bytes.Equal(frame, want) {
		t.Errorf("%x, want\n%x", frame, want)
	}
}

// What is no IP frame, or a short one, has no TOS and is not changed.
func TestNoTOS(t *testing.T) {
	four, six := plain(false, false).frame(t), plain(true, false).frame(t)
	other := func(frame []byte, at int, b byte) []byte {
		frame = bytes.Clone(frame)
		frame[at] = b
		return frame
	}
	for name, frame := range map[string][]byte{
		"nothing":                   nil,
		"addresses":                 four[:12],
		"IPv4, cut":                 four[:etherLen+ipv4Len-1],
		"IPv6, cut":                 six[:etherLen+ipv6Len-1],
		"ARP":                       other(four, 13, 6),
		"another version than IPv4": other(four, etherLen, 0x65),
		"another version than IPv6": other(six, etherLen, 0x40),
		"tags up to the end":        bytes.Repeat([]byte{0x81, 0}, 40),
	} {
		was := bytes.Clone(frame)
		if tos, ok := TOS(frame); ok {
			t.Errorf("%s: TOS %#x", name, tos)
		}
		if SetECN(frame, 3); !bytes.Equal(frame, was) {
			t.Errorf("%s: changed", name)
		}
	}
}
