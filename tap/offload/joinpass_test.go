package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

func routerAlert(value byte) []layers.IPv4Option {
	return []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, value}}}
}

func timestamp(value byte) []layers.TCPOption {
	o := plain(false, false).tcpOpts
	o[2].OptionData = []byte{0, 0, 0, value, 0, 0, 0, 2}
	return o
}

// fixIPv4 makes the header checksum of an untagged frame right.
func fixIPv4(frame []byte) []byte {
	h := frame[etherLen : etherLen+max(ipv4Len, int(frame[etherLen]&15)*4)]
	binary.BigEndian.PutUint16(h[ipv4Checksum:], 0)
	binary.BigEndian.PutUint16(h[ipv4Checksum:], ^slowSum(h))
	return frame
}

// TestJoinPassesWhole: what cannot be joined comes out as it went in.
func TestJoinPassesWhole(t *testing.T) {
	tcp4, udp4, tcp6 := plain(false, false), plain(false, true), plain(true, false)
	tcp6.ext = []byte{extDest}
	arp := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 0, 8, 6}, pattern(28)...)
	edit := func(frame []byte, change func(f []byte)) []byte {
		change(frame)
		if frame[12] == 8 && frame[13] == 0 {
			fixIPv4(frame)
		}
		return frame
	}
	long := plain(true, false)
	long.tags = manyTags(45)
	partial := func(s spec) Header { _, h := s.partial(t); return h }
	for _, c := range []struct {
		name  string
		frame []byte
		h     Header
	}{
		{"nothing", nil, Header{}},
		{"one byte", []byte{1}, Header{}},
		{"no EtherType", tcp4.frame(t)[:13], Header{}},
		{"ARP", arp, Header{}},
		{"padded ARP", append(bytes.Clone(arp), make([]byte, 18)...), Header{}},
		{"tags without end", bytes.Repeat([]byte{0x81, 0}, 800), Header{}},
		{"length field", edit(tcp4.frame(t), func(f []byte) { f[12], f[13] = 0, 100 }), Header{}},
		{"ICMP", edit(tcp4.frame(t), func(f []byte) { f[23] = 1 }), Header{}},
		{"ESP in IPv6", edit(tcp6.frame(t), func(f []byte) { f[20] = 50 }), Header{}},
		{"first fragment", edit(udp4.frame(t), func(f []byte) { f[20] = 0x20 }), Header{}},
		{"later fragment", edit(udp4.frame(t), func(f []byte) { f[21] = 9 }), Header{}},
		{"reserved bit", edit(udp4.frame(t), func(f []byte) { f[20] = 0x80 }), partial(udp4)},
		{"fragment in IPv6", edit(tcp6.frame(t), func(f []byte) { f[54] = 44 }), Header{}},
		{"first fragment in IPv6", edit(tcp6.frame(t), func(f []byte) { f[20] = 44 }), Header{}},
		{"jumbogram", edit(tcp6.frame(t), func(f []byte) { f[18], f[19] = 0, 0 }), Header{}},
		{"extension header over the end", edit(tcp6.frame(t), func(f []byte) { f[55] = 255 }), Header{}},
		{"truncated", tcp4.frame(t)[:120], Header{}},
		{"truncated IPv6", tcp6.frame(t)[:120], Header{}},
		{"truncated header", tcp4.frame(t)[:40], Header{}},
		{"truncated IPv6 header", tcp6.frame(t)[:50], Header{}},
		{"padded", append(tcp4.frame(t), 0, 0), Header{}},
		{"padded IPv6", append(tcp6.frame(t), 0), Header{}},
		{"version 5", edit(tcp4.frame(t), func(f []byte) { f[14] = 0x55 }), partial(tcp4)},
		{"IPv6 with version 4", edit(tcp6.frame(t), func(f []byte) { f[14] = 0x40 }), partial(tcp6)},
		{"header length 4", edit(tcp4.frame(t), func(f []byte) { f[14] = 0x41 }), partial(tcp4)},
		{"data offset 4", edit(tcp4.frame(t), func(f []byte) { f[46] = 0x40 }), partial(tcp4)},
		{"data offset over the end", edit(tcp4.frame(t)[:70], func(f []byte) { f[16], f[17], f[46] = 0, 56, 0xf0 }), partial(tcp4)},
		{"UDP length short", edit(udp4.frame(t), func(f []byte) { f[39]-- }), partial(udp4)},
		{"UDP without checksum", edit(udp4.frame(t), func(f []byte) { f[40], f[41] = 0, 0 }), Header{}},
		{"TCP checksum", edit(tcp4.frame(t), func(f []byte) { f[70] ^= 1 }), Header{}},
		{"UDP checksum", edit(udp4.frame(t), func(f []byte) { f[70] ^= 1 }), Header{}},
		{"IPv4 header checksum", func() []byte { f := tcp4.frame(t); f[24] ^= 1; return f }(), partial(tcp4)},
		{"partial at another place", tcp4.frame(t), Header{Flags: FlagNeedsCsum, CsumStart: 34, CsumOffset: 6}},
		{"partial from another place", tcp4.frame(t), Header{Flags: FlagNeedsCsum, CsumStart: 14, CsumOffset: 16}},
		{"long headers", long.frame(t), Header{}},
		{"long headers, partial", func() []byte { f, _ := long.partial(t); return f }(), partial(long)},
		{"super-frame", tcp4.frame(t), func() Header { _, h := tcp4.super(t, 50); return h }()},
	} {
		j := both()
		before := bytes.Clone(c.frame)
		j.Begin(c.frame, c.h)
		if j.Open() || j.HeaderLen() != 0 || j.Count() != 1 || j.Len() != len(c.frame) {
			t.Errorf("%s: open", c.name)
		}
		if _, ok := j.Join(c.frame, c.h); ok {
			t.Errorf("%s: joined to itself", c.name)
		}
		if h := j.Finish(c.frame); h != c.h || !bytes.Equal(c.frame, before) {
			t.Errorf("%s: %+v, or changed", c.name, h)
		}
	}
}

// TestJoinSecondSpoiled: the second frame is the right one, but broken.
func TestJoinSecondSpoiled(t *testing.T) {
	for variant := range 4 {
		first := plain(variant&1 != 0, variant&2 != 0)
		second := first
		second.id++
		second.seq += 100
		a, ah := first.partial(t)
		good, bh := second.partial(t)
		aComplete, goodComplete := first.frame(t), second.frame(t)
		for at := range good {
			spoiled := bytes.Clone(goodComplete)
			spoiled[at] ^= 0x40
			j := both()
			if j.Begin(aComplete, Header{}); !j.Open() {
				t.Fatal("not open")
			}
			if _, ok := j.Join(spoiled, Header{}); ok {
				t.Errorf("joined with byte %d changed", at)
			}
			if at >= second.headers() {
				continue // nobody can see that in a frame with a partial checksum
			}
			spoiled = bytes.Clone(good)
			spoiled[at] ^= 0x40
			j.Begin(a, ah)
			if _, ok := j.Join(spoiled, bh); ok {
				t.Errorf("joined with byte %d changed, checksum partial", at)
			}
		}
		for name, h := range map[string]Header{
			"start":       {Flags: bh.Flags, CsumStart: bh.CsumStart + 1, CsumOffset: bh.CsumOffset},
			"offset":      {Flags: bh.Flags, CsumStart: bh.CsumStart, CsumOffset: bh.CsumOffset + 1},
			"super-frame": {Flags: bh.Flags, CsumStart: bh.CsumStart, CsumOffset: bh.CsumOffset, GSOType: GSOTCPv4, GSOSize: 50},
			"complete":    {},
			"none":        {Flags: 2},
		} {
			j := both()
			j.Begin(a, ah)
			if _, ok := j.Join(good, h); ok {
				t.Errorf("%s: joined", name)
			}
		}
		j := both()
		j.Begin(a, ah)
		if _, ok := j.Join(goodComplete, Header{}); ok {
			t.Error("joined a whole checksum to a partial one")
		}
		j.Begin(aComplete, Header{})
		if _, ok := j.Join(good, bh); ok {
			t.Error("joined a partial checksum to a whole one")
		}
		for n := range good {
			j := both()
			j.Begin(a, ah)
			if _, ok := j.Join(good[:n], bh); ok {
				t.Errorf("joined when truncated to %d bytes", n)
			}
		}
		j.Begin(a, ah)
		if _, ok := j.Join(append(bytes.Clone(good[:len(good)-20]), make([]byte, 20)...)[:len(good)-1], bh); ok {
			t.Error("joined when padded")
		}
	}
}

// TestJoinZeroChecksum: a sender that forgets to write a UDP checksum of 0 as
// 0xffff has sent none.
func TestJoinZeroChecksum(t *testing.T) {
	s := plain(true, true)
	first := s.frame(t)
	clear(s.payload[98:])
	second, h := s.partial(t)
	binary.BigEndian.PutUint16(second[len(second)-2:], ^slowSum(second[s.transport():]))
	if err := Complete(second, h); err != nil {
		t.Fatal(err)
	}
	for _, field := range []uint16{0xffff, 0} {
		binary.BigEndian.PutUint16(second[s.transport()+udpChecksum:], field)
		j := both()
		j.Begin(first, Header{})
		if _, ok := j.Join(second, Header{}); ok != (field != 0) {
			t.Errorf("checksum %04x: joined %v", field, ok)
		}
	}
}

func TestJoinOnlyWhatTheDeviceTakes(t *testing.T) {
	for variant := range 4 {
		s := plain(variant&1 != 0, variant&2 != 0)
		frame, h := s.partial(t)
		for _, j := range []Joiner{{}, {TCP: true}, {UDP: true}, {TCP: true, UDP: true}} {
			j.Begin(frame, h)
			if want := s.udp && j.UDP || !s.udp && j.TCP; j.Open() != want {
				t.Errorf("TCP %v UDP %v: open %v for UDP %v", j.TCP, j.UDP, j.Open(), s.udp)
			}
		}
	}
}

func TestJoinForgets(t *testing.T) {
	s := plain(false, false)
	a, h := s.partial(t)
	s.seq, s.id = s.seq+100, s.id+1
	b, _ := s.partial(t)
	j := both()
	if _, ok := j.Join(b, h); ok || j.Open() || j.Count() != 0 || j.Finish(nil) != (Header{}) {
		t.Fatal("not empty at first")
	}
	j.Begin(a, h)
	j.Reset()
	if _, ok := j.Join(b, h); ok || j.Open() || j.Count() != 0 || j.Len() != 0 {
		t.Fatal("not empty after Reset")
	}
	j.Begin(a, h)
	n, ok := j.Join(b, h)
	if !ok || j.HeaderLen() != len(b)-n || j.Count() != 2 {
		t.Fatal("not joined")
	}
	super := append(a, b[len(b)-n:]...)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic for half a super-frame")
			}
		}()
		j.Finish(super[:150])
	}()
	if h := j.Finish(super); h.GSOSize != 100 || h.GSOType != GSOTCPv4 {
		t.Fatalf("%+v", h)
	}
	if _, ok := j.Join(b, h); ok || j.Open() {
		t.Fatal("not empty after Finish")
	}
}

func TestJoinAllocatesNothing(t *testing.T) {
	s := plain(true, false)
	s.payload = pattern(50000)
	frame, h := s.super(t, 1400)
	for _, all := range [][]segment{cutAll(t, frame, h, 0), completed(t, cutAll(t, frame, h, 0))} {
		j := both()
		if n := testing.AllocsPerRun(100, func() {
			j.Begin(all[0].frame, all[0].h)
			for _, s := range all[1:] {
				if _, ok := j.Join(s.frame, s.h); !ok {
					t.Fatal("not joined")
				}
			}
			j.Finish(frame)
		}); n != 0 {
			t.Fatalf("%v allocations", n)
		}
	}
}
