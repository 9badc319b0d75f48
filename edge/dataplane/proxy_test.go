package dataplane

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// resident is a host behind a member.
type resident struct {
	mac protocol.MAC
	ip4 [4]byte
	ip6 netip.Addr
}

// residentOf returns the n-th host of many.
func residentOf(n byte) resident {
	return resident{protocol.MAC{0x52, 0x54, 0, 0, 0, n}, [4]byte{192, 0, 2, n}, netip.AddrFrom16([16]byte{0xfe, 0x80, 15: n})}
}

// arp returns ARP of the host to others.
func (h resident) arp(op byte, dst protocol.MAC, sender, target [4]byte) []byte {
	return slices.Concat(dst[:], h.mac[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, op}, h.mac[:], sender[:], make([]byte, 6), target[:], make([]byte, 18))
}

// asks4 is the question of the host for another one's address.
func (h resident) asks4(o resident) []byte { return h.arp(1, protocol.Broadcast, h.ip4, o.ip4) }

// says4 is the answer of the host, to another one.
func (h resident) says4(o resident) []byte { return h.arp(2, o.mac, h.ip4, o.ip4) }

// discovers returns neighbour discovery of the host: flags is what is behind the checksum.
func (h resident) discovers(message byte, dst protocol.MAC, from, to netip.Addr, flags byte, target netip.Addr, option byte) []byte {
	f, d, t := from.As16(), to.As16(), target.As16()
	p := slices.Concat([]byte{0x60, 0, 0, 0, 0, 32, 58, 255}, f[:], d[:], []byte{message, 0, 0, 0, flags, 0, 0, 0}, t[:], []byte{option, 1}, h.mac[:])
	sum := uint32(32 + 58)
	for at := 8; at < len(p); at += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[at:]))
	}
	binary.BigEndian.PutUint16(p[42:], ^uint16(sum>>16+sum))
	return slices.Concat(dst[:], h.mac[:], []byte{0x86, 0xdd}, p)
}

func (h resident) asks6(o resident) []byte {
	b := o.ip6.As16()
	group := netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
	return h.discovers(135, protocol.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}, h.ip6, group, 0, o.ip6, 1)
}

// says6 is the answer of the host, which is a router, to another one.
func (h resident) says6(o resident) []byte {
	return h.discovers(136, o.mac, h.ip6, o.ip6, 0xe0, h.ip6, 2)
}

// suppression is three members whose hosts ask for each other: one and its neighbour are
// behind a, other is behind b, and the third member hears what goes to everybody.
type suppression struct {
	*rig
	a, b, third           *member
	one, neighbour, other resident
	asks, says            func(h, o resident) []byte
}

// suppressions runs a test with ARP and with IPv6.
func suppressions(t *testing.T, test func(t *testing.T, s *suppression)) {
	for name, words := range map[string][2]func(h, o resident) []byte{
		"ARP": {resident.asks4, resident.says4}, "IPv6": {resident.asks6, resident.says6},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			for i, a := range r.members {
				for _, b := range r.members[:i] {
					r.join(a, b)
					r.direct(a, b)
				}
			}
			test(t, &suppression{r, r.members[0], r.members[1], r.members[2], residentOf(1), residentOf(2), residentOf(3), words[0], words[1]})
		})
	}
}

// exchange has one ask for other, and other answer.
func (s *suppression) exchange() {
	s.a.send(s.now, s.asks(s.one, s.other))
	s.carry()
	s.b.send(s.now, s.says(s.other, s.one))
	s.carry()
	s.quiet()
}

// quiet forgets what came to the devices.
func (s *suppression) quiet() {
	for _, m := range s.members {
		m.device.take()
	}
}

// goes has a member's host send a frame, and fails unless it comes to as many frames at
// these three devices.
func (s *suppression) goes(t *testing.T, what string, m *member, f []byte, want [3]int) (at [3][][]byte) {
	t.Helper()
	m.send(s.now, f)
	s.carry()
	var got [3]int
	for i, m := range s.members {
		at[i] = m.device.take()
		got[i] = len(at[i])
	}
	if got != want {
		t.Errorf("%s: %v frames at the devices, want %v", what, got, want)
	}
	return at
}

// TestProxyAnswers: what is known is answered at the asker's edge, with the owner's words.
func TestProxyAnswers(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.goes(t, "unknown", s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 1})
		s.exchange()
		at := s.goes(t, "known", s.a, s.asks(s.neighbour, s.other), [3]int{1, 0, 0})
		want := s.says(s.other, s.neighbour)
		if want[12] == 8 { // ARP names the asker, and is padded to the shortest frame
			copy(want[32:], s.neighbour.mac[:])
		}
		if got := at[0][0]; !slices.Equal(got, want) {
			t.Errorf("answered %x, want %x", got, want)
		}
		if n := s.a.fdb.proxy.Counters(); n.Answered != 1 {
			t.Errorf("%+v", n)
		}
		// The asker's edge knows the askers for its own, and leaves them to themselves.
		s.goes(t, "for our own side", s.a, s.asks(s.neighbour, s.one), [3]int{})
		s.advance(time.Second)
		s.goes(t, "once more", s.a, s.asks(s.neighbour, s.one), [3]int{0, 1, 1})
		s.advance(10 * time.Second)
		s.goes(t, "later", s.a, s.asks(s.neighbour, s.one), [3]int{})
		s.advance(10 * time.Second)
		s.a.fdb.Handover(nil, s.a.view[s.b])
		s.goes(t, "one that has left", s.a, s.asks(s.neighbour, s.one), [3]int{0, 1, 1})
		s.a.fdb.proxy = nil // as with --transparent
		s.goes(t, "transparent", s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 1})
	})
}

// TestProxyRefreshes: an owner that was silent for a while is asked alone, and everybody
// is when it does not answer.
func TestProxyRefreshes(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.exchange()
		s.advance(31 * time.Second)
		at := s.goes(t, "after 31 s", s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 0})
		if dst := protocol.MAC(at[1][0]); dst != s.other.mac {
			t.Errorf("the owner is asked at %v", dst)
		}
		s.goes(t, "it answers", s.b, s.says(s.other, s.neighbour), [3]int{1, 0, 0})
		s.goes(t, "confirmed", s.a, s.asks(s.one, s.other), [3]int{1, 0, 0})
		s.advance(31 * time.Second)
		s.goes(t, "once more", s.a, s.asks(s.one, s.other), [3]int{0, 1, 0})
		s.advance(time.Second)
		s.goes(t, "without an answer", s.a, s.asks(s.one, s.other), [3]int{0, 1, 1})
		if n := s.a.fdb.proxy.Counters(); n.Forwarded != 2 || n.Silent != 1 || n.Answered != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// TestProxyDoubts: a host that asks the owner itself, in vain, is not told the same again.
func TestProxyDoubts(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.exchange()
		probe := s.asks(s.one, s.other)
		copy(probe, s.other.mac[:])
		s.goes(t, "to the owner", s.a, probe, [3]int{0, 1, 0})
		s.advance(time.Second)
		s.goes(t, "to everybody", s.a, s.asks(s.one, s.other), [3]int{0, 1, 1})
	})
}

// TestProxyFollows: whoever is not where the pair was heard is asked there, or everybody is.
func TestProxyFollows(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.exchange()
		s.third.send(s.now, ethernet(s.one.mac, s.other.mac, 0x1234, 60)) // it has moved to there
		s.carry()
		s.quiet()
		s.goes(t, "moved", s.a, s.asks(s.neighbour, s.other), [3]int{0, 0, 1})
		s.goes(t, "it answers", s.third, s.says(s.other, s.neighbour), [3]int{1, 0, 0})
		s.goes(t, "and is known", s.a, s.asks(s.neighbour, s.other), [3]int{1, 0, 0})
		usurper := resident{residentOf(9).mac, s.other.ip4, s.other.ip6}
		s.goes(t, "another claims it", s.b, s.says(usurper, s.one), [3]int{1, 0, 0})
		s.goes(t, "contested", s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 1})
	})
}

// TestProxyHandover: the bridge that takes over a segment is the one that has its hosts.
func TestProxyHandover(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.exchange()
		s.a.MoveHosts(s.now, s.a.view[s.b], s.a.view[s.third])
		s.goes(t, "handed over", s.a, s.asks(s.neighbour, s.other), [3]int{1, 0, 0})
		s.advance(31 * time.Second)
		s.goes(t, "asked there", s.a, s.asks(s.neighbour, s.other), [3]int{0, 0, 1})
	})
}

// TestProxyEnds: nobody is answered for who cannot be reached, is gone, or is here, and
// nobody by a bridge that stands by.
func TestProxyEnds(t *testing.T) {
	for name, end := range map[string]func(s *suppression){
		"no session": func(s *suppression) { s.a.reroute(s.b, func(r *Route) { r.Session = nil }) },
		"forgotten":  func(s *suppression) { s.a.ForgetHosts(s.a.view[s.b]) },
		"changed":    func(s *suppression) { s.a.ForgetHostsBut(s.a.view[s.third]) },
		"gone":       func(s *suppression) { s.a.Retire(s.a.view[s.b]) },
		"here":       func(s *suppression) { s.a.fdb.Handover(s.a.view[s.b], nil) },
	} {
		suppressions(t, func(t *testing.T, s *suppression) {
			s.exchange()
			end(s)
			s.goes(t, name, s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 1})
		})
	}
	suppressions(t, func(t *testing.T, s *suppression) {
		s.exchange()
		gated(s.rig, s.a, false).Set(false)
		s.goes(t, "standby", s.a, s.asks(resident{s.a.self, s.one.ip4, s.one.ip6}, s.other), [3]int{})
	})
}

// TestProxyLearnsFromAccepted: what a receiver drops teaches nothing, nor does a frame for
// which nobody vouched.
func TestProxyLearnsFromAccepted(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.a.view[s.b].SetStanding(Standing{}) // a plain edge, which says that another host is behind it
		s.exchange()
		s.goes(t, "dropped", s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 1})
		own := resident{s.b.self, s.other.ip4, s.other.ip6}
		inner := append([]byte{byte(protocol.KindFrame) << 6}, s.asks(own, s.one)...)
		s.a.Deliver(s.now, s.a.device, s.a.view[s.b], inner, false)
		if got := len(s.a.device.take()); got != 1 {
			t.Fatalf("%d frames were delivered", got)
		}
		s.goes(t, "unvouched", s.a, s.asks(s.neighbour, s.other), [3]int{0, 1, 1})
	})
}

// TestNoAllocationsForProxy: answering a question allocates nothing, nor does sending it
// to the owner.
func TestNoAllocationsForProxy(t *testing.T) {
	suppressions(t, func(t *testing.T, s *suppression) {
		s.exchange()
		s.a.device.discard, s.a.conn.discard = true, true
		question, buf := s.asks(s.neighbour, s.other), make([]byte, bufferLen)
		f := &tap.Frame{Buf: buf, Off: headroom, Len: len(question)}
		for _, after := range []time.Duration{0, 31 * time.Second} { // it is answered, and then its owner is asked
			now := s.a.Since(s.now.Add(after))
			if n := testing.AllocsPerRun(runs/5, func() {
				copy(buf[headroom:], question)
				s.a.out.sendFrame(s.a.table.Load(), now, f)
				s.a.out.endBurst()
			}); n != 0 {
				t.Errorf("after %v: %v allocations", after, n)
			}
		}
		if n := s.a.fdb.proxy.Counters(); n.Answered < runs/5 || n.Forwarded < runs/5 {
			t.Errorf("%+v", n)
		}
	})
}

// BenchmarkProxy is a question that is answered.
func BenchmarkProxy(b *testing.B) {
	r := newRig(b, 2)
	m, other := r.members[0], residentOf(3)
	r.join(m, r.members[1])
	r.direct(m, r.members[1])
	peer := m.view[r.members[1]]
	m.fdb.Learn(0, bridge.Key{MAC: other.mac}, peer)
	m.device.discard = true
	now := m.Since(r.now)
	m.fdb.proxy.Heard(now, bridge.Address{IP: netip.AddrFrom4(other.ip4)}, other.mac, 0, peer)
	question, buf := residentOf(1).asks4(other), make([]byte, bufferLen)
	f := &tap.Frame{Buf: buf, Off: headroom, Len: len(question)}
	b.ReportAllocs()
	for b.Loop() {
		copy(buf[headroom:], question)
		m.out.sendFrame(m.table.Load(), now, f)
	}
}
