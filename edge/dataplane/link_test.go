package dataplane

import (
	"bytes"
	"net/netip"
	"testing"

	"hedgerow/protocol"
)

// wire is a link between two members: what each has of it.
type wire struct {
	devices [2]*memoryDevice
	ends    [2]*Link
	macs    [2]protocol.MAC
}

// wire gives two members a link, with a device at each end.
func (r *rig) wire(a, b *member) *wire {
	w := &wire{macs: [2]protocol.MAC{{2, 1, 0, 0, 0, 0xa}, {2, 1, 0, 0, 0, 0xb}}}
	for i, m := range []*member{a, b} {
		w.devices[i] = &memoryDevice{takes: m.device.takes}
		w.ends[i] = NewLink(w.devices[i], w.macs[i], w.macs[1-i])
	}
	a.view[b].SetLink(w.ends[0])
	b.view[a].SetLink(w.ends[1])
	return w
}

// put has a member's host send a frame on an end of the link.
func (w *wire) put(t testing.TB, m *member, end int, frames ...superFrame) {
	t.Helper()
	w.devices[end].waiting = append(w.devices[end].waiting, frames...)
	if n, err := NewLinkServer(m.Plane, m.conn).read(w.ends[end]); n != len(frames) || err != nil {
		t.Fatalf("%d frames of %d were read: %v", n, len(frames), err)
	}
}

// frame is a frame of an end of the link.
func (w *wire) frame(from int, dst protocol.MAC, n int) []byte {
	return ethernet(dst, w.macs[from], protocol.EtherTypeIPv6, n)
}

// A frame of a link comes out of the link's device at the other end and nowhere else, to
// whatever address it is, on every kind of path and in pieces; the community's device goes
// on beside it.
func TestLink(t *testing.T) {
	group := protocol.MAC{0x33, 0x33, 0, 0, 0, 1}
	for name, build := range carriages {
		t.Run(name, func(t *testing.T) {
			r, a, b := build(t)
			if a.view[b].Route().Session == nil {
				return // TestLinkDrops has it
			}
			w := r.wire(a, b)
			third := r.add(9)
			r.know(a, third)
			for _, dst := range []protocol.MAC{w.macs[1], group, protocol.Broadcast} {
				for _, n := range []int{46, 1370, 9000} {
					f := w.frame(0, dst, n)
					w.put(t, a, 0, superFrame{frame: bytes.Clone(f)})
					r.carry()
					if got := w.devices[1].take(); len(got) != 1 || !bytes.Equal(got[0], f) {
						t.Errorf("to %v, %d bytes: %d frames came", dst, n, len(got))
					}
				}
			}
			back := w.frame(1, w.macs[0], 100)
			w.put(t, b, 1, superFrame{frame: bytes.Clone(back)})
			r.carry()
			if got := w.devices[0].take(); len(got) != 1 || !bytes.Equal(got[0], back) {
				t.Errorf("back: %d frames came", len(got))
			}
			for _, m := range r.members {
				if got := m.device.take(); len(got) != 0 || m.known() != 0 {
					t.Errorf("the community's device got %d frames, %d hosts were learned", len(got), m.known())
				}
			}
			r.arrives(t, "a frame of the community", ethernet(b.self, a.self, protocol.EtherTypeIPv4, 99), a, b)
			if rx, _ := b.view[a].Bytes(); rx < 3*(46+1370+9000) {
				t.Errorf("%d bytes of the peer were counted", rx)
			}
		})
	}
}

// The frames of one batch for both devices keep their order, and are joined with those of
// their own device alone.
func TestLinkMixedBatch(t *testing.T) {
	r, a, b := pair(t)
	r.offloading()
	w := r.wire(a, b)
	main := super(b.self, a.self, 6, 7800, 1300)
	linked := super(w.macs[1], w.macs[0], 6, 7800, 1300)
	var wants [2][][]byte
	for range 4 {
		wants[0] = append(wants[0], bytes.Clone(main.frame))
		r.sendSuper(a, superFrame{bytes.Clone(main.frame), main.header})
		for range 2 {
			wants[1] = append(wants[1], bytes.Clone(linked.frame))
			w.put(t, a, 0, superFrame{bytes.Clone(linked.frame), linked.header})
		}
	}
	r.batch(a, b)
	for i, d := range []*memoryDevice{b.device, w.devices[1]} {
		got := d.take()
		if len(got) != len(wants[i]) {
			t.Fatalf("device %d: %d frames of %d", i, len(got), len(wants[i]))
		}
		for n := range got {
			if !bytes.Equal(got[n], wants[i][n]) {
				t.Errorf("device %d: frame %d changed or is out of order", i, n)
			}
		}
	}
	// Single frames by turns: none may be joined to one of the other device.
	main, linked = super(b.self, a.self, 6, 1300, 1300), super(w.macs[1], w.macs[0], 6, 1300, 1300)
	for range 20 {
		r.sendSuper(a, superFrame{bytes.Clone(main.frame), main.header})
		w.put(t, a, 0, superFrame{bytes.Clone(linked.frame), linked.header})
	}
	r.batch(a, b)
	if m, l := len(b.device.take()), len(w.devices[1].take()); m != 20 || l != 20 {
		t.Errorf("%d and %d frames of 20 and 20", m, l)
	}
}

// What does not belong on a link is dropped, counted and never learned.
func TestLinkDrops(t *testing.T) {
	for _, c := range []struct {
		name string
		want DropReason
		at   int // the member that drops
		give func(r *rig, w *wire, a, b *member)
	}{
		{"another source on the device", DropLinkSource, 0, func(_ *rig, w *wire, a, b *member) {
			w.put(t, a, 0, superFrame{frame: ethernet(w.macs[1], host(1), protocol.EtherTypeIPv4, 99)})
		}},
		{"half a frame", DropFrameInvalid, 0, func(_ *rig, w *wire, a, _ *member) {
			w.put(t, a, 0, superFrame{frame: make([]byte, 13)})
		}},
		{"nobody's link", DropNoPath, 0, func(_ *rig, w *wire, a, _ *member) {
			w.ends[0] = NewLink(w.devices[0], w.macs[0], w.macs[1])
			w.put(t, a, 0, superFrame{frame: w.frame(0, w.macs[1], 99)})
		}},
		{"no session", DropNoPath, 0, func(_ *rig, w *wire, a, b *member) {
			a.reroute(b, func(r *Route) { r.Session = nil })
			w.put(t, a, 0, superFrame{frame: w.frame(0, w.macs[1], 99)})
		}},
		{"no path", DropNoPath, 0, func(_ *rig, w *wire, a, b *member) {
			a.reroute(b, func(r *Route) { r.Direct = netip.AddrPort{} })
			w.put(t, a, 0, superFrame{frame: w.frame(0, w.macs[1], 99)})
		}},
		{"no device at the other end", DropNoLink, 1, func(_ *rig, w *wire, a, b *member) {
			w.ends[1] = NewLink(nil, w.macs[1], w.macs[0])
			b.view[a].SetLink(w.ends[1])
			w.put(t, a, 0, superFrame{frame: w.frame(0, protocol.Broadcast, 99)})
		}},
		{"in a GROUP packet, which every member can make", DropLinkSource, 1, func(r *rig, w *wire, a, b *member) {
			b.receive(a.sealGroup(a.group, fullFrame(w.frame(0, protocol.Broadcast, 99))), a.addr)
		}},
		{"of the community's device", DropLinkSource, 1, func(r *rig, w *wire, a, _ *member) {
			a.send(r.now, w.frame(0, protocol.Broadcast, 99))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := pair(t)
			w := r.wire(a, b)
			c.give(r, w, a, b)
			r.carry()
			r.members[c.at].dropped(t, c.want)
			for i, m := range []*member{a, b} {
				if got := append(w.devices[i].take(), m.device.take()...); len(got) != 0 || m.known() != 0 {
					t.Errorf("member %d: delivered %x, learned %d", i, got, m.known())
				}
			}
			if missed := w.ends[1].Missed(); (missed == 1) != (c.want == DropNoLink) {
				t.Errorf("%d frames were missed", missed)
			}
		})
	}
}

// A frame on a link is a use of the peer, which the control loop hears of, also while
// there is no path for it.
func TestLinkIsUse(t *testing.T) {
	r, a, b := pair(t)
	w := r.wire(a, b)
	a.reroute(b, func(r *Route) { r.Session = nil })
	w.put(t, a, 0, superFrame{frame: w.frame(0, protocol.Broadcast, 99)})
	if evs := a.events(); len(evs) != 1 || evs[0] != (Needed{a.view[b]}) {
		t.Errorf("events %+v", evs)
	}
}

// A bridge that stands by on its LAN has its links all the same: they are no part of that.
func TestLinkPassesStandby(t *testing.T) {
	r, a, b := pair(t)
	w := r.wire(a, b)
	for _, m := range []*member{a, b} {
		gated(r, m, false).Set(false)
	}
	f := w.frame(0, protocol.Broadcast, 99)
	w.put(t, a, 0, superFrame{frame: bytes.Clone(f)})
	r.carry()
	if got := w.devices[1].take(); len(got) != 1 || !bytes.Equal(got[0], f) {
		t.Errorf("%d frames came, dropped %v and %v", len(got), a.drops.nonzero(), b.drops.nonzero())
	}
	// A flood in the name of the link's end is none of its frames: it is held as any other.
	before := b.drops.Count(DropStandby)
	b.receive(a.sealGroup(a.group, fullFrame(f)), a.addr)
	if n := len(b.device.take()) + len(w.devices[1].take()); n != 0 || b.drops.Count(DropStandby) != before+1 {
		t.Errorf("a flood from the link's address: %d delivered, dropped %v", n, b.drops.nonzero())
	}
}

// A SYN on a link is clamped to what the path takes whole, as any other.
func TestLinkClamps(t *testing.T) {
	r, a, b := pair(t)
	w := r.wire(a, b)
	for _, m := range []*member{a, b} { // on its way out, and in from a peer that does not clamp
		limit := MaxDatagramIPv6
		a.reroute(b, func(r *Route) { r.Limit = 3000; r.RelayLimit = 3000 })
		b.reroute(a, func(r *Route) { r.Limit = 3000; r.RelayLimit = 3000 })
		other := map[*member]*member{a: b, b: a}[m]
		m.reroute(other, func(r *Route) { r.Limit = limit })
		w.put(t, a, 0, superFrame{frame: segment{dst: w.macs[1], src: w.macs[0], mss: 2500}.build(t)})
		r.carry()
		got := w.devices[1].take()
		if len(got) != 1 {
			t.Fatalf("%d frames came", len(got))
		}
		if mss, right := announcedMSS(t, got[0]); mss > limit || !right {
			t.Errorf("the MSS is %d, its checksum right: %v", mss, right)
		}
	}
}

// linkFlow is BenchmarkLink's: a frame from one end of a link to the other.
func linkFlow(tb testing.TB, n int) (send func(), receive func(), to *member) {
	r, a, b := pair(tb)
	w := r.wire(a, b)
	a.conn.discard, w.devices[1].discard = true, true
	f := w.frame(0, w.macs[1], usualMTU)
	waiting, server := make([]superFrame, 1), NewLinkServer(a.Plane, a.conn)
	send = func() {
		waiting[0].frame = f
		w.devices[0].waiting = waiting
		if got, err := server.read(w.ends[0]); got != 1 || err != nil {
			tb.Fatal(got, err)
		}
	}
	a.conn.discard = false
	for range n {
		send()
	}
	sent := a.conn.take()
	a.conn.discard = true
	receive = func() {
		b.in.handleDatagram(sent[0].pkt, a.addr)
		b.in.endBatch()
		sent = sent[1:]
	}
	return send, receive, b
}

// TestNoAllocationsOnLinks holds that a link costs no memory for a frame either.
func TestNoAllocationsOnLinks(t *testing.T) {
	send, receive, to := linkFlow(t, runs+2)
	receive()
	if n := testing.AllocsPerRun(runs, receive); n != 0 {
		t.Errorf("inbound: %v allocations per frame", n)
	}
	if n := testing.AllocsPerRun(runs, send); n != 0 {
		t.Errorf("outbound: %v allocations per frame", n)
	}
	if got := to.total.rxFrames.Load(); got != runs+2 {
		t.Errorf("%d frames came of %d", got, runs+2)
	}
}

// BenchmarkLink is a frame on a link, beside BenchmarkOutbound and BenchmarkInbound.
func BenchmarkLink(b *testing.B) {
	b.Run("outbound", func(b *testing.B) {
		send, _, _ := linkFlow(b, 0)
		b.SetBytes(usualMTU)
		b.ReportAllocs()
		for b.Loop() {
			send()
		}
	})
	b.Run("inbound", func(b *testing.B) {
		b.SetBytes(usualMTU)
		b.ReportAllocs()
		for left := b.N; left > 0; left -= benchmarkPackets {
			b.StopTimer()
			n := min(left, benchmarkPackets)
			_, receive, _ := linkFlow(b, n)
			b.StartTimer()
			for range n {
				receive()
			}
		}
	})
}
