package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// mss is the option with a value.
func mss(value int) layers.TCPOption {
	return layers.TCPOption{
		OptionType: layers.TCPOptionKindMSS, OptionLength: 4,
		OptionData: binary.BigEndian.AppendUint16(nil, uint16(value)),
	}
}

// synOptions are lists of options with the MSS at even and odd places, several
// times and not at all. 0 stands for the value of the test.
func synOptions(value int) [][]layers.TCPOption {
	nop := layers.TCPOption{OptionType: layers.TCPOptionKindNop}
	sack := layers.TCPOption{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2}
	scale := layers.TCPOption{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{7}}
	times := layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{1, 2, 3, 4, 5, 6, 7, 8}}
	end := layers.TCPOption{OptionType: layers.TCPOptionKindEndList}
	m := mss(value)
	return [][]layers.TCPOption{
		{m},
		{m, sack, times, nop, scale},
		{nop, m, scale},
		{scale, m, nop},
		{nop, nop, nop, m, end},
		{m, nop, m, scale},
		{times, sack, m},
		{nop, scale},
		{end, nop, nop, nop, m},
		nil,
	}
}

// clamped is a SYN with a value of the MSS, and the same as it has to be after
// LowerMSS to packet bytes. Behind an end of the list nothing is an option.
func clamped(r *rand.Rand, value, packet int) (before, after spec, changes bool) {
	s := random(r, r.IntN(3)*r.IntN(400))
	s.udp = false
	s.flags = tcpSYN | byte(r.IntN(2))*tcpACK | byte(r.IntN(2))*tcpECE
	limit := packet - 40
	if s.v6 {
		limit -= 20
	}
	limit = max(limit, leastMSS)
	which := r.IntN(len(synOptions(0)))
	before, after = s, s
	before.tcpOpts = synOptions(value)[which]
	after.tcpOpts = synOptions(min(value, limit))[which]
	if len(before.tcpOpts) > 0 && before.tcpOpts[0].OptionType == layers.TCPOptionKindEndList {
		after.tcpOpts = before.tcpOpts
		return before, after, false
	}
	for _, o := range before.tcpOpts {
		changes = changes || o.OptionType == layers.TCPOptionKindMSS && value > limit
	}
	return before, after, changes
}

// TestLowerMSS compares with what gopacket builds with the lower value, with
// complete checksums and partial ones.
func TestLowerMSS(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	lowered := 0
	for range 20_000 {
		value, packet := r.IntN(1<<16), 500+r.IntN(1100)
		if r.IntN(4) == 0 {
			value = packet - 60 + r.IntN(41)
		}
		before, after, changes := clamped(r, value, packet)
		whole, want := before.frame(t), after.frame(t)
		if !IsSYN(whole) {
			t.Fatalf("%+v is no SYN", before)
		}
		if got := LowerMSS(whole, Header{}, packet); got != changes {
			t.Fatalf("%+v: MSS %d in packets of %d: lowered %v", before, value, packet, got)
		}
		if !bytes.Equal(whole, want) || !Verify(whole) {
			t.Fatalf("%+v:\n%x, want\n%x", before, whole, want)
		}
		part, h := before.partial(t)
		LowerMSS(part, h, packet)
		if err := Complete(part, h); err != nil || !bytes.Equal(part, want) {
			t.Fatalf("%+v, partial: %v\n%x, want\n%x", before, err, part, want)
		}
		if LowerMSS(whole, Header{}, packet) {
			t.Fatal("lowered twice")
		}
		if changes {
			lowered++
		}
	}
	if lowered < 5000 {
		t.Errorf("only %d were lowered", lowered)
	}
}

// TestLowerMSSOnlySYN holds that everything else is left alone.
func TestLowerMSSOnlySYN(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 5000 {
		s := random(r, r.IntN(200))
		if s.tcpOpts = nil; !s.udp {
			s.tcpOpts = []layers.TCPOption{mss(9000)}
		}
		frame := s.frame(t)
		want := bytes.Clone(frame)
		if IsSYN(frame) && len(s.ext) == 0 {
			t.Fatalf("%+v is a SYN", s)
		}
		if LowerMSS(frame, Header{}, 1280) || !bytes.Equal(frame, want) {
			t.Fatalf("%+v was changed", s)
		}
	}
}

// TestLowerMSSMalformed cuts SYNs short and breaks the lengths of their options.
func TestLowerMSSMalformed(t *testing.T) {
	s := plain(false, false)
	s.flags, s.payload = tcpSYN, nil
	s.tcpOpts = synOptions(9000)[1]
	good := s.frame(t)
	for n := range good {
		if LowerMSS(bytes.Clone(good[:n]), Header{}, 1280) {
			t.Errorf("the first %d bytes were changed", n)
		}
		IsSYN(good[:n])
	}
	options := s.transport() + tcpLen
	for _, length := range []byte{0, 1, 3, 5, 40, 255} {
		bad := bytes.Clone(good)
		bad[options+1] = length
		want := bytes.Clone(bad)
		if LowerMSS(bad, Header{}, 1280) || !bytes.Equal(bad, want) {
			t.Errorf("length %d was changed", length)
		}
	}
}

// FuzzLowerMSS holds that nothing is written but values of the option and the
// checksum, that none grows, and that a right checksum stays right.
func FuzzLowerMSS(f *testing.F) {
	for i := range 8 {
		s := plain(i&1 != 0, false)
		s.flags, s.payload = tcpSYN, pattern(i)
		if i&2 != 0 {
			s.tags, s.ext = []uint16{typeTag}, []byte{extHop}
		}
		for _, options := range synOptions(1460) {
			s.tcpOpts = options
			f.Add(s.frame(f), 1280)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, packet int) {
		if packet < -1<<20 || packet > 1<<20 {
			return
		}
		buf := fenced(frame)
		got := buf[canary : canary+len(frame)]
		h := makeRight(got)
		if Complete(got, Header{Flags: h.Flags, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset}) != nil {
			return
		}
		before := bytes.Clone(got)
		right := Verify(got)
		if lowered := LowerMSS(got, Header{}, packet); lowered != !bytes.Equal(got, before) || lowered && !IsSYN(before) {
			t.Fatalf("lowered %v", lowered)
		}
		intact(t, buf)
		if right && !Verify(got) {
			t.Fatal("the checksum became wrong")
		}
		if LowerMSS(got, Header{}, packet) {
			t.Fatal("lowered twice")
		}
	})
}

func BenchmarkIsSYN(b *testing.B) {
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		b.Run(name, func(b *testing.B) {
			frame := plain(v6, false).frame(b)
			for b.Loop() {
				if IsSYN(frame) {
					b.Fatal("no SYN")
				}
			}
		})
	}
}
