package offload

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// segment is a copy of what Next gave.
type segment struct {
	frame []byte
	h     Header
}

// cutAll cuts frame and copies every segment before it asks for the next, as an
// edge that seals it would be done with it. What it is done with is destroyed.
func cutAll(t testing.TB, frame []byte, h Header, maxFrame int) []segment {
	t.Helper()
	const room = 32
	buf := append(append(bytes.Repeat([]byte{0xa5}, room), frame...), bytes.Repeat([]byte{0xa5}, room)...)
	var c Cutter
	if err := c.Start(buf, room, len(frame), h, maxFrame); err != nil {
		t.Fatal(err)
	}
	var all []segment
	for {
		off, n, h, ok := c.Next()
		if !ok {
			break
		}
		if off < room || off+n > room+len(frame) {
			t.Fatalf("segment at %d with %d bytes is outside of the super-frame", off-room, n)
		}
		all = append(all, segment{bytes.Clone(buf[off : off+n]), h})
		for i := range n {
			buf[off+i] = 0xcc
		}
	}
	if len(all) != c.Count() {
		t.Fatalf("%d segments, Count said %d", len(all), c.Count())
	}
	if b := append(bytes.Clone(buf[:room]), buf[room+len(frame):]...); !bytes.Equal(b, bytes.Repeat([]byte{0xa5}, 2*room)) {
		t.Fatal("written outside of the super-frame")
	}
	return all
}

// decode completes the segment and lets gopacket judge it.
func (s segment) decode(t *testing.T) gopacket.Packet {
	t.Helper()
	frame := bytes.Clone(s.frame)
	if s.h.GSOType != GSONone || s.h.Flags != FlagNeedsCsum {
		t.Fatalf("header of a segment: %+v", s.h)
	}
	if err := Complete(frame, s.h); err != nil {
		t.Fatal(err)
	}
	if !Verify(frame) {
		t.Fatalf("checksum of %x is wrong", frame)
	}
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("%x: %v", frame, e.Error())
	}
	if l, ok := p.TransportLayer().(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}); !ok || l.SetNetworkLayerForChecksum(p.NetworkLayer()) != nil {
		t.Fatalf("%x: no TCP or UDP", frame)
	}
	if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
		t.Fatalf("%x: %v %+v", frame, err, wrong)
	}
	return p
}

func TestCutGivesWhatTheFlowWouldHaveSent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 600 {
		size := 1 + r.IntN(1500)
		if r.IntN(4) == 0 {
			size = 1 + r.IntN(60) // shorter than the headers
		}
		s := random(r, min(size*(1+r.IntN(60))+r.IntN(size), 60000))
		frame, h := s.super(t, size)
		h.HdrLen = uint16(r.Uint32()) // a hint only
		maxFrame := 0
		if r.IntN(2) == 0 {
			maxFrame = s.headers() + 1 + r.IntN(1500)
		}
		checkSegments(t, s, size, maxFrame, cutAll(t, frame, h, maxFrame))
	}
}

// checkSegments compares the segments of s with frames that gopacket builds.
func checkSegments(t *testing.T, s spec, size, maxFrame int, all []segment) {
	t.Helper()
	if !s.udp && maxFrame > 0 {
		size = min(size, maxFrame-s.headers())
	}
	if want := max(1, (len(s.payload)+size-1)/size); len(all) != want {
		t.Fatalf("%d segments of %d bytes, want %d of %d", len(all), len(s.payload), want, size)
	}
	rest := s.payload
	for i, got := range all {
		p := got.decode(t)
		want := s
		want.payload = rest[:min(size, len(rest))]
		rest = rest[len(want.payload):]
		want.id += uint16(i)
		want.seq += uint32(i * size)
		if i > 0 {
			want.flags &^= tcpCWR
		}
		if i < len(all)-1 {
			want.flags &^= tcpFIN | tcpPSH
		}
		frame, h := want.partial(t)
		if !bytes.Equal(got.frame, frame) || got.h != h {
			t.Fatalf("segment %d of %d %+v:\n%x, want\n%x", i, len(all), got.h, got.frame, frame)
		}
		if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && (tcp.Seq != want.seq || tcp.FIN != (want.flags&tcpFIN != 0)) {
			t.Fatalf("segment %d of %d: %+v", i, len(all), tcp)
		}
		if ip, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4); ok && ip.Id != want.id {
			t.Fatalf("segment %d of %d: %+v", i, len(all), ip)
		}
		if layer := p.ApplicationLayer(); layer != nil && !bytes.HasSuffix(got.frame, layer.LayerContents()) {
			t.Fatalf("segment %d of %d: payload %x", i, len(all), layer.LayerContents())
		}
	}
}

// TestCutKeepsThePseudoHeader: behind a routing header the pseudo-header has an address that is not in
// the IPv6 header, and the partial checksum must be right all the same.
func TestCutKeepsThePseudoHeader(t *testing.T) {
	s := plain(true, false)
	s.payload = pattern(3000)
	frame, h := s.super(t, 1000)
	frame[etherLen+39]++ // another destination on the way
	for _, got := range cutAll(t, frame, h, 0) {
		got.frame[etherLen+39]--
		got.decode(t)
	}
}

func TestCutNoneIsTheFrame(t *testing.T) {
	for _, frame := range [][]byte{{}, {1, 2, 3}, pattern(60), pattern(9000)} {
		h := Header{Flags: FlagNeedsCsum, HdrLen: 9, CsumStart: 900, CsumOffset: 3}
		all := cutAll(t, frame, h, 20)
		if len(all) != 1 || !bytes.Equal(all[0].frame, frame) || all[0].h != h {
			t.Fatalf("%d bytes: %+v", len(frame), all)
		}
	}
}

// manyTags is n tags.
func manyTags(n int) []uint16 {
	tags := make([]uint16, n)
	for i := range tags {
		tags[i] = typeTag
	}
	return tags
}

func TestCutRefuses(t *testing.T) {
	tcp := func(v6 bool) func() ([]byte, Header) {
		return func() ([]byte, Header) { s := plain(v6, false); s.payload = pattern(3000); return s.super(t, 1000) }
	}
	udp := func() ([]byte, Header) { s := plain(false, true); s.payload = pattern(3000); return s.super(t, 1000) }
	for _, c := range []struct {
		name     string
		make     func() ([]byte, Header)
		spoil    func(frame []byte, h *Header) []byte
		maxFrame int
	}{
		{"no segment size", udp, func(f []byte, h *Header) []byte { h.GSOSize = 0; return f }, 0},
		{"checksum complete", tcp(false), func(f []byte, h *Header) []byte { h.Flags = 0; return f }, 0},
		{"wrong family", tcp(false), func(f []byte, h *Header) []byte { h.GSOType = GSOTCPv6; return f }, 0},
		{"wrong family 6", tcp(true), func(f []byte, h *Header) []byte { h.GSOType = GSOTCPv4; return f }, 0},
		{"wrong protocol", tcp(false), func(f []byte, h *Header) []byte { h.GSOType = GSOUDPL4; return f }, 0},
		{"UDP as TCP", udp, func(f []byte, h *Header) []byte { h.GSOType = GSOTCPv4; return f }, 0},
		{"ECN on UDP", udp, func(f []byte, h *Header) []byte { h.GSOType |= GSOECN; return f }, 0},
		{"ECN only", tcp(false), func(f []byte, h *Header) []byte { h.GSOType = GSOECN; return f }, 0},
		{"fragmentation", udp, func(f []byte, h *Header) []byte { h.GSOType = GSOUDP; return f }, 0},
		{"unknown kind", tcp(false), func(f []byte, h *Header) []byte { h.GSOType = 77; return f }, 0},
		{"wrong start", tcp(false), func(f []byte, h *Header) []byte { h.CsumStart++; return f }, 0},
		{"wrong offset", tcp(false), func(f []byte, h *Header) []byte { h.CsumOffset = 6; return f }, 0},
		{"truncated", tcp(false), func(f []byte, h *Header) []byte { return f[:len(f)-1] }, 0},
		{"padded", tcp(false), func(f []byte, h *Header) []byte { return append(f, 0) }, 0},
		{"truncated 6", tcp(true), func(f []byte, h *Header) []byte { return f[:len(f)-1] }, 0},
		{"padded 6", tcp(true), func(f []byte, h *Header) []byte { return append(f, 0) }, 0},
		{"headers only", tcp(false), func(f []byte, h *Header) []byte { return f[:30] }, 0},
		{"UDP length", udp, func(f []byte, h *Header) []byte { f[39]++; return f }, 0},
		{"data offset", tcp(false), func(f []byte, h *Header) []byte { f[46] = 0x40; return f }, 0},
		{"IP header length", tcp(false), func(f []byte, h *Header) []byte { f[14] = 0x44; return f }, 0},
		{"fragment", tcp(false), func(f []byte, h *Header) []byte { f[20] |= 0x20; return f }, 0},
		{"long headers", func() ([]byte, Header) {
			s := plain(false, false)
			s.tags = manyTags(48)
			return s.super(t, 10)
		}, func(f []byte, h *Header) []byte { return f }, 0},
		{"no room", tcp(false), func(f []byte, h *Header) []byte { return f }, 66},
		{"less than no room", tcp(false), func(f []byte, h *Header) []byte { return f }, 1},
	} {
		frame, h := c.make()
		frame = c.spoil(frame, &h)
		before := bytes.Clone(frame)
		var cut Cutter
		if err := cut.Start(frame, 0, len(frame), h, c.maxFrame); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if _, _, _, ok := cut.Next(); ok || cut.Count() != 0 || !bytes.Equal(frame, before) {
			t.Errorf("%s: segments, or the frame changed", c.name)
		}
	}
	frame, h := udp()
	for _, at := range [][2]int{{-1, 10}, {0, -1}, {0, len(frame) + 1}, {len(frame) + 1, 0}, {10, len(frame)}} {
		if err := new(Cutter).Start(frame, at[0], at[1], h, 0); err == nil {
			t.Errorf("buf[%d:][:%d]: no error", at[0], at[1])
		}
	}
}

func TestCutAllocatesNothing(t *testing.T) {
	s := plain(false, false)
	s.payload = pattern(60000)
	frame, h := s.super(t, 1400)
	buf := bytes.Clone(frame)
	var c Cutter
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, frame[:100])
		if err := c.Start(buf, 0, len(buf), h, 1400); err != nil {
			t.Fatal(err)
		}
		for {
			if _, _, _, ok := c.Next(); !ok {
				break
			}
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
