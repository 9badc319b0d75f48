package offload

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// joinAll does what an edge does with a batch: it gives every frame to a Joiner
// and puts the payloads together.
func joinAll(t testing.TB, j *Joiner, all []segment) []segment {
	t.Helper()
	var out []segment
	var arena []byte
	flush := func() {
		if arena != nil {
			if j.Len() != len(arena) {
				t.Fatalf("Len %d, put together %d bytes", j.Len(), len(arena))
			}
			h := j.Finish(arena)
			out = append(out, segment{arena, h})
		}
	}
	for _, s := range all {
		frame := bytes.Clone(s.frame)
		if j.Open() {
			if n, ok := j.Join(frame, s.h); ok {
				if n != len(frame)-j.flow.lay.payload {
					t.Fatalf("payload of %d bytes in a frame of %d", n, len(frame))
				}
				arena = append(arena, frame[len(frame)-n:]...)
				continue
			}
		}
		flush()
		j.Begin(frame, s.h)
		arena = frame
		if !bytes.Equal(frame, s.frame) {
			t.Fatal("Begin changed the frame")
		}
	}
	flush()
	return out
}

// completed is the segments with whole checksums.
func completed(t testing.TB, all []segment) []segment {
	t.Helper()
	var out []segment
	for _, s := range all {
		frame := bytes.Clone(s.frame)
		if err := Complete(frame, s.h); err != nil {
			t.Fatal(err)
		}
		out = append(out, segment{frame, Header{}})
	}
	return out
}

func both() *Joiner { return &Joiner{TCP: true, UDP: true} }

func TestJoinIsTheInverseOfCut(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	j := both()
	for range 600 {
		size := 1 + r.IntN(1500)
		s := random(r, min(1+size*(1+r.IntN(63))+r.IntN(size), 60000))
		frame, h := s.super(t, size)
		h.HdrLen = uint16(s.headers())
		all := cutAll(t, frame, h, 0)
		if len(all) > maxDatagrams && s.udp {
			continue
		}
		for _, all := range [][]segment{all, completed(t, all)} {
			got := joinAll(t, j, all)
			if len(all) == 1 {
				if len(got) != 1 || got[0].h != all[0].h || !bytes.Equal(got[0].frame, all[0].frame) {
					t.Fatalf("%+v: a single frame became %+v", s, got)
				}
				continue
			}
			if len(got) != 1 || got[0].h != h || !bytes.Equal(got[0].frame, frame) {
				t.Fatalf("%d segments of %d bytes became %d: %+v, want %+v\n%x, want\n%x", len(all), size, len(got),
					got[0].h, h, got[0].frame[:s.headers()], frame[:s.headers()])
			}
		}
	}
}

// TestJoinRules changes the second of two frames that could be joined; gopacket
// makes all its checksums right again.
func TestJoinRules(t *testing.T) {
	every, tcp, udp, v4, v6 := "every", "tcp", "udp", "v4", "v6"
	for _, c := range []struct {
		name   string
		only   string
		change func(first, second *spec)
		joined bool
		open   bool
	}{
		{"the next", every, func(_, s *spec) {}, true, true},
		{"shorter", every, func(_, s *spec) { s.payload = s.payload[:99] }, true, false},
		{"one byte", every, func(_, s *spec) { s.payload = s.payload[:1] }, true, false},
		{"empty", every, func(_, s *spec) { s.payload = nil }, false, true},
		{"longer", every, func(_, s *spec) { s.payload = pattern(101) }, false, true},
		{"source MAC", every, func(_, s *spec) { s.srcMAC++ }, false, true},
		{"tagged", every, func(_, s *spec) { s.tags = []uint16{typeTag} }, false, true},
		{"other VLAN", every, func(f, s *spec) { f.tags = []uint16{typeTag}; s.tags, s.vlan = f.tags, 1 }, false, true},
		{"same VLAN", every, func(f, s *spec) { f.tags = []uint16{typeTag}; s.tags = f.tags }, true, true},
		{"source", every, func(_, s *spec) { s.src++ }, false, true},
		{"destination", every, func(_, s *spec) { s.dst++ }, false, true},
		{"source port", every, func(_, s *spec) { s.sport++ }, false, true},
		{"destination port", every, func(_, s *spec) { s.dport++ }, false, true},
		{"other protocol", every, func(_, s *spec) { s.udp = !s.udp }, false, true},
		{"other IP version", every, func(_, s *spec) { s.v6 = !s.v6 }, false, true},
		{"TTL", every, func(_, s *spec) { s.ttl-- }, false, true},
		{"ECN bits", every, func(_, s *spec) { s.tos = 3 }, false, true},
		{"DSCP", every, func(_, s *spec) { s.tos = 32 }, false, true},
		{"flow label", v6, func(_, s *spec) { s.label = 5 }, false, true},
		{"extension header", v6, func(_, s *spec) { s.ext = []byte{extHop} }, false, true},
		{"same extension header", v6, func(f, s *spec) { f.ext = []byte{extHop}; s.ext = f.ext }, true, true},
		{"changed extension header", v6, func(f, s *spec) { f.ext = []byte{extHop}; s.ext, s.extFill = f.ext, 1 }, false, true},
		{"other extension header", v6, func(f, s *spec) { f.ext = []byte{extHop}; s.ext = []byte{extDest} }, false, true},
		{"id same", v4, func(_, s *spec) { s.id-- }, false, true},
		{"id two higher", v4, func(_, s *spec) { s.id++ }, false, true},
		{"id wraps", v4, func(f, s *spec) { f.id, s.id = 65535, 0 }, true, true},
		{"DF on the second", v4, func(_, s *spec) { s.df = true }, false, true},
		{"DF on the first", v4, func(f, _ *spec) { f.df = true }, false, true},
		{"id same with DF", v4, func(f, s *spec) { f.df, s.df, s.id = true, true, f.id }, true, true},
		{"id random with DF", v4, func(f, s *spec) { f.df, s.df, s.id = true, true, 4711 }, true, true},
		{"IP option", v4, func(_, s *spec) { s.options = routerAlert(0) }, false, true},
		{"same IP option", v4, func(f, s *spec) { f.options, s.options = routerAlert(0), routerAlert(0) }, true, true},
		{"other IP option", v4, func(f, s *spec) { f.options, s.options = routerAlert(0), routerAlert(1) }, false, true},
		{"sequence gap", tcp, func(_, s *spec) { s.seq++ }, false, true},
		{"repeated", tcp, func(f, s *spec) { s.seq = f.seq }, false, true},
		{"sequence wraps", tcp, func(f, s *spec) { f.seq, s.seq = 0xffffffff, 99 }, true, true},
		{"acknowledgement", tcp, func(_, s *spec) { s.ack++ }, false, true},
		{"window", tcp, func(_, s *spec) { s.window++ }, false, true},
		{"no options", tcp, func(_, s *spec) { s.tcpOpts = nil }, false, true},
		{"timestamp", tcp, func(_, s *spec) { s.tcpOpts = timestamp(9) }, false, true},
		{"PSH", tcp, func(_, s *spec) { s.flags |= tcpPSH }, true, false},
		{"FIN", tcp, func(_, s *spec) { s.flags |= tcpFIN }, true, false},
		{"SYN", tcp, func(_, s *spec) { s.flags |= 2 }, false, true},
		{"RST", tcp, func(_, s *spec) { s.flags |= 4 }, false, true},
		{"URG", tcp, func(_, s *spec) { s.flags |= 32 }, false, true},
		{"no ACK", tcp, func(_, s *spec) { s.flags = 0 }, false, true},
		{"CWR", tcp, func(_, s *spec) { s.flags |= tcpCWR }, false, true},
		{"CWR on the first", tcp, func(f, _ *spec) { f.flags |= tcpCWR }, true, true},
		{"CWR on both", tcp, func(f, s *spec) { f.flags |= tcpCWR; s.flags |= tcpCWR }, false, true},
		{"ECE on the second", tcp, func(_, s *spec) { s.flags |= tcpECE }, false, true},
		{"ECE on the first", tcp, func(f, _ *spec) { f.flags |= tcpECE }, false, true},
		{"ECE on both", tcp, func(f, s *spec) { f.flags |= tcpECE; s.flags |= tcpECE }, true, true},
		{"first with PSH", tcp, func(f, _ *spec) { f.flags |= tcpPSH }, false, false},
		{"first with FIN", tcp, func(f, _ *spec) { f.flags |= tcpFIN }, false, false},
		{"first with SYN", tcp, func(f, _ *spec) { f.flags |= 2 }, false, false},
		{"first with RST", tcp, func(f, _ *spec) { f.flags |= 4 }, false, false},
		{"first with URG", tcp, func(f, _ *spec) { f.flags |= 32 }, false, false},
		{"first without ACK", tcp, func(f, _ *spec) { f.flags = 0 }, false, false},
		{"first empty", every, func(f, s *spec) { s.seq, f.payload = f.seq, nil }, false, false},
		{"datagram again", udp, func(f, s *spec) { s.payload = f.payload }, true, true},
	} {
		for variant := range 4 {
			first := plain(variant&1 != 0, variant&2 != 0)
			if c.only == tcp && first.udp || c.only == udp && !first.udp || c.only == v4 && first.v6 || c.only == v6 && !first.v6 {
				continue
			}
			second := first
			second.id++
			second.seq += 100
			c.change(&first, &second)
			for _, partial := range []bool{false, true} {
				a, ah := first.frame(t), Header{}
				b, bh := second.frame(t), Header{}
				if partial {
					a, ah = first.partial(t)
					b, bh = second.partial(t)
				}
				j := both()
				j.Begin(a, ah)
				_, joined := j.Join(b, bh)
				if joined != c.joined || j.Open() != c.open {
					t.Errorf("%s (IPv6 %v, UDP %v, partial %v): joined %v, open %v", c.name, first.v6, first.udp, partial, joined, j.Open())
				}
			}
		}
	}
}

func TestJoinLimits(t *testing.T) {
	for variant := range 4 {
		s := plain(variant&1 != 0, variant&2 != 0)
		for _, size := range []int{100, 1000, 30000, 65535 - s.headers(), 65534 - s.headers(), (65536 - s.headers()) / 2} {
			s.payload = pattern(size)
			j := both()
			length, count := 0, 0
			for {
				frame, h := s.partial(t)
				if count == 0 {
					j.Begin(frame, h)
					length, count = len(frame), 1
				} else if n, ok := j.Join(frame, h); ok {
					length, count = length+n, count+1
				} else {
					break
				}
				s.id++
				s.seq += uint32(size)
			}
			want := (MaxSuperFrame - s.headers()) / size
			if s.udp {
				want = min(want, 64)
			}
			if count != want || j.Count() != want || j.Len() != length || length > MaxSuperFrame {
				t.Errorf("IPv6 %v, UDP %v: %d frames of %d bytes, %d bytes in all, want %d frames", s.v6, s.udp, count, size, length, want)
			}
		}
	}
}
