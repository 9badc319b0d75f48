package dataplane

import (
	"bytes"
	"testing"

	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// How the bytes of a fuzzer reach the member: as they are, or helped past the
// gates that nothing random passes.
const (
	asIs      = iota // a datagram of an edge or a stranger
	masked           // the same, masked, so that the header is what was given
	fromHub          // a datagram of a supernode, masked
	relayed          // a packet between edges, masked, in a good RELAY packet
	fuzzModes        // how many there are
)

// fuzzRig is the member that datagrams are thrown at, with a peer on a direct
// path and by relay, and a third one that only the table knows of.
type fuzzRig struct {
	*rig
	a, b *member
	hub  *hub
}

func newFuzzRig(tb testing.TB) fuzzRig {
	r := newRig(tb, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.join(b, c)
	h := r.hub()
	r.direct(a, b)
	b.reroute(a, func(p *Route) { p.Dual = true })
	return fuzzRig{r, a, b, h}
}

// throw gives the member what a fuzzer made.
func (f fuzzRig) throw(mode uint8, pkt []byte) {
	b, from := f.b, f.a.addr
	if mode >= 0x80 {
		from = elsewhere
	}
	pkt = bytes.Clone(pkt)
	switch mode % 0x80 % fuzzModes {
	case asIs:
		b.receive(pkt, from)
	case masked:
		b.mask.Hide(b.scratch, pkt)
		b.receive(pkt, from)
	case fromHub:
		f.hub.mask.Hide(b.scratch, pkt)
		b.receive(pkt, f.hub.addr)
	case relayed:
		if len(pkt) >= protocol.HeaderLen+protocol.TagLen {
			b.mask.Hide(b.scratch, pkt)
			b.receive(f.hub.seal(f.hub.handle[f.a], b, pkt), f.hub.addr)
		}
	}
}

// good returns datagrams that members sealed for b, as they arrive and
// unmasked, and the frames in them.
func (f fuzzRig) good() (pkts, frames [][]byte) {
	for _, frame := range [][]byte{
		shortUnicast(f.a, f.b), shortFlood(f.a, f.b),
		ethernet(f.b.self, f.a.self, protocol.EtherTypeIPv4, 60, 5),
		ethernet(f.b.self, f.a.self, protocol.EtherTypeIPv6, 1500),
		ethernet(protocol.Broadcast, f.a.self, protocol.EtherTypeIPv6, 1500),
	} {
		frames = append(frames, frame)
		for _, d := range f.a.sentFor(f.rig, frame) {
			if d.to != f.b.addr {
				for _, out := range f.hub.relay(f.a, d.pkt) {
					if out.to == f.b {
						pkts = append(pkts, out.pkt)
					}
				}
				continue
			}
			pkts = append(pkts, d.pkt)
		}
	}
	return pkts, frames
}

// FuzzHandleDatagram throws three datagrams at a member: none may panic, and
// no frame may come out that no member sealed.
func FuzzHandleDatagram(f *testing.F) {
	seed := newFuzzRig(f)
	pkts, _ := seed.good()
	for i, pkt := range pkts {
		other := pkts[(i+1)%len(pkts)]
		f.Add(uint8(asIs), pkt, uint8(fromHub), other, uint8(masked), pkt)
		f.Add(uint8(asIs), other, uint8(asIs), pkt, uint8(asIs), pkt)
		clear := bytes.Clone(pkt)
		seed.b.mask.Show(seed.b.scratch, clear)
		f.Add(uint8(masked), clear, uint8(relayed), clear, uint8(masked|0x80), clear)
		hop := bytes.Clone(pkt)
		seed.hub.mask.Show(seed.b.scratch, hop)
		f.Add(uint8(fromHub), hop, uint8(fromHub), hop, uint8(asIs), other)
	}
	for typ := range protocol.Type(12) {
		for _, n := range []int{32, 48, 72, 96, 128, 192} {
			pkt := make([]byte, n)
			protocol.Header{Type: typ, XF: protocol.XFDataGCM, KI: 7, RX: 0x1004}.Put(pkt)
			f.Add(uint8(masked), pkt, uint8(fromHub), pkt, uint8(relayed), pkt)
		}
	}
	f.Add(uint8(asIs), stun.AppendRequest(nil, [12]byte{}), uint8(asIs), []byte(nil), uint8(fromHub), make([]byte, 32))

	f.Fuzz(func(t *testing.T, m1 uint8, p1 []byte, m2 uint8, p2 []byte, m3 uint8, p3 []byte) {
		r := newFuzzRig(t)
		_, frames := r.good()
		for _, g := range []struct {
			mode uint8
			pkt  []byte
		}{{m1, p1}, {m2, p2}, {m3, p3}} {
			if len(g.pkt) <= 1<<15 {
				r.throw(g.mode, g.pkt)
			}
		}
		for _, got := range r.b.device.take() {
			if !containsFrame(frames, got) {
				t.Errorf("delivered %x, which nobody sealed", got)
			}
		}
		if n := r.b.known(); n > 1 {
			t.Errorf("learned %d addresses, and one host sent", n)
		}
	})
}

func containsFrame(frames [][]byte, frame []byte) bool {
	for _, f := range frames {
		if bytes.Equal(f, frame) {
			return true
		}
	}
	return false
}

// FuzzHandleInner has a hostile member seal what a fuzzer made. No panic, and
// whatever comes out is a frame that this member may send: not with our own
// address as source, nor another edge's, nor a group's.
func FuzzHandleInner(f *testing.F) {
	_, a, b := pair(f)
	for _, frame := range unicastFrames(b.self, a.self) {
		f.Add(false, fullFrame(frame), []byte{3 << 6, 0x80, 0})
		f.Add(true, append([]byte{1 << 6}, frame...), fullFrame(frame))
		for count := 2; count < 4; count++ {
			f.Add(count == 2, protocol.AppendPiece(nil, fullFrame(frame), 0, count), protocol.AppendPiece(nil, fullFrame(frame), 1, count))
		}
	}
	f.Add(false, partial(a, b), []byte{2 << 6, 1, 0, 0})
	f.Add(false, []byte{1<<6 | 3<<4, 0x12, 0x34, 0x45}, protocol.AppendPadding(fullFrame(shortUnicast(a, b)), 9))

	f.Fuzz(func(t *testing.T, group bool, one, two []byte) {
		r, a, b := pair(t)
		third := NewPeer([32]byte{}, protocol.MAC{2, 0, 0, 0, 0, 3})
		b.change(func(d *Draft) { d.BindMAC(third) })
		for _, inner := range [][]byte{one, two} {
			if group {
				b.receive(a.sealGroup(a.group, inner), a.addr)
			} else {
				b.receive(a.seal(b, inner), a.addr)
			}
		}
		for _, got := range b.device.take() {
			frame := protocol.Frame(got)
			if err := frame.Valid(); err != nil {
				t.Fatalf("delivered %x: %v", got, err)
			}
			if src := frame.Src(); src == b.self || src == third.mac || src.IsGroup() {
				t.Errorf("delivered with source %v", src)
			}
		}
		b.undrop()
		r.arrives(t, "a good frame afterwards", ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60), a, b)
	})
}
