package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func TestSumIsThatOfRFC1071(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 70000)
	for _, fill := range []func(int) byte{
		func(int) byte { return 0 }, func(int) byte { return 0xff },
		func(i int) byte { return byte(i) }, func(int) byte { return byte(r.Uint32()) },
	} {
		for i := range buf {
			buf[i] = fill(i)
		}
		for n := range 600 {
			if got, want := sum(buf[n%9:n%9+n]), slowSum(buf[n%9:n%9+n]); got != want {
				t.Fatalf("sum of %d bytes: %04x, want %04x", n, got, want)
			}
		}
		if got, want := sum(buf), slowSum(buf); got != want {
			t.Fatalf("sum of all: %04x, want %04x", got, want)
		}
	}
	// The example of RFC 1071, section 3.
	if got := sum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != 0xddf2 {
		t.Fatalf("example of RFC 1071: %04x", got)
	}
}

func TestCompleteAndVerify(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		s := random(r, r.IntN(1500))
		want := s.frame(t)
		got, h := s.partial(t)
		if err := Complete(got, h); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%+v:\n%x, want\n%x", s, got, want)
		}
		if !Verify(got) {
			t.Fatalf("%+v: not verified", s)
		}
		at := s.transport() + r.IntN(len(got)-s.transport())
		got[at] ^= 1 << r.IntN(8)
		if Verify(got) {
			t.Fatalf("%+v: verified with byte %d of %d changed", s, at, len(got))
		}
	}
}

// TestCompleteUDPZero finds a datagram whose sum is 0xffff and so its checksum 0.
func TestCompleteUDPZero(t *testing.T) {
	s := plain(false, true)
	s.payload = []byte{0, 0}
	frame, h := s.partial(t)
	field := s.transport() + udpChecksum
	partial := binary.BigEndian.Uint16(frame[field:])
	binary.BigEndian.PutUint16(frame[len(frame)-2:], ^slowSum(frame[s.transport():]))
	if err := Complete(frame, h); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint16(frame[field:]); got != 0xffff || !Verify(frame) {
		t.Fatalf("checksum %04x, want ffff", got)
	}
	binary.BigEndian.PutUint16(frame[field:], 0)
	if Verify(frame) {
		t.Fatal("a datagram without checksum has been verified")
	}
	// The same sum with TCP's offset stays 0.
	wide := append(make([]byte, 20), frame[len(frame)-2:]...)
	binary.BigEndian.PutUint16(wide[16:], ^binary.BigEndian.Uint16(wide[20:]))
	if err := Complete(wide, Header{Flags: FlagNeedsCsum, CsumOffset: tcpChecksum}); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint16(wide[16:]); got != 0 {
		t.Fatalf("TCP checksum %04x, want 0 (partial %04x)", got, partial)
	}
}

func TestCompleteBounds(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		h    Header
		ok   bool
	}{
		{"no flag", 0, Header{CsumStart: 500, CsumOffset: 16}, true},
		{"field at the end", 52, Header{Flags: FlagNeedsCsum, CsumStart: 34, CsumOffset: 16}, true},
		{"field over the end", 51, Header{Flags: FlagNeedsCsum, CsumStart: 34, CsumOffset: 16}, false},
		{"start behind the end", 33, Header{Flags: FlagNeedsCsum, CsumStart: 34}, false},
		{"large", 60, Header{Flags: FlagNeedsCsum, CsumStart: 65535, CsumOffset: 65535}, false},
		{"empty", 0, Header{Flags: FlagNeedsCsum}, false},
		{"super-frame", 100, Header{Flags: FlagNeedsCsum, GSOType: GSOTCPv4, CsumStart: 34, CsumOffset: 16}, false},
	} {
		frame := make([]byte, c.n)
		if err := Complete(frame, c.h); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok && !bytes.Equal(frame, make([]byte, c.n)) {
			t.Errorf("%s: the frame was written to", c.name)
		}
	}
}

func TestHeaderPutParse(t *testing.T) {
	h := Header{Flags: 1, GSOType: 4, HdrLen: 0x102, GSOSize: 0x304, CsumStart: 0x506, CsumOffset: 0x708}
	var b [HeaderLen]byte
	h.Put(b[:])
	if got := Parse(b[:]); got != h || b[0] != 1 || b[1] != 4 || binary.NativeEndian.Uint16(b[6:]) != 0x506 {
		t.Fatalf("%x is %+v", b, got)
	}
}
