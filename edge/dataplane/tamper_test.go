package dataplane

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"hedgerow/protocol"
)

// sealedKinds are the packets that carry frames: how to make one, and how it
// reaches b. short is a frame that one packet takes.
var sealedKinds = []struct {
	name  string
	build func(testing.TB) (*rig, *member, *member)
	frame func(a, b *member) []byte
}{
	{"DATA", pair, shortUnicast},
	{"DATA, ChaCha20-Poly1305", carriages["ChaCha20-Poly1305"], shortUnicast},
	{"GROUP", pair, shortFlood},
	{"GROUP, ChaCha20-Poly1305", carriages["ChaCha20-Poly1305"], shortFlood},
	{"DATA in RELAY", relayedPair, shortUnicast},
	{"GROUP in RELAY", relayedPair, shortFlood},
}

func shortUnicast(a, b *member) []byte {
	return ethernet(b.self, host(1), protocol.EtherTypeIPv4, 20)
}
func shortFlood(a, _ *member) []byte { return ethernet(protocol.Broadcast, host(1), 0x88b5, 20) }

// arrive returns the one datagram that a frame of a becomes at b, and where
// it seems to come from.
func (r *rig) arrive(a *member, frame []byte) sentDatagram {
	r.tb.Helper()
	pkts := r.capture(a, frame)
	if len(pkts) != 1 {
		r.tb.Fatalf("%d datagrams", len(pkts))
	}
	if len(r.hubs) == 0 {
		return sentDatagram{to: a.addr, pkt: pkts[0]}
	}
	out := r.hubs[0].relay(a, pkts[0])
	if len(out) != 1 {
		r.tb.Fatalf("relayed %d times", len(out))
	}
	return sentDatagram{to: r.hubs[0].addr, pkt: out[0].pkt}
}

// condition is what a packet that does not authenticate must not change.
func (m *member) condition(peer *member) string {
	v := m.view[peer]
	highest, received := m.entry[peer].session.Received()
	return fmt.Sprint(m.known(), m.fdb.Counters().Moves, highest, received, *v.route.Load(), v.count.heard.Load(), v.count.used.Load(),
		v.count.rxBytes.Load(), v.count.roamed.Load(), m.total.rxFrames.Load(), m.entry[peer].session.Confirmed())
}

// TestEveryBit flips each bit of a sealed packet. None may be delivered, or
// change anything; where only the two ends check it the packet itself still
// arrives afterwards.
func TestEveryBit(t *testing.T) {
	for _, c := range sealedKinds {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := c.build(t)
			frame := c.frame(a, b)
			good := r.arrive(a, frame)
			before := b.condition(a)
			for bit := range len(good.pkt) * 8 {
				d := good
				if len(r.hubs) > 0 { // its hop tag covers its end only, and takes its number
					d = r.arrive(a, frame)
				}
				bad := bytes.Clone(d.pkt)
				bad[bit/8] ^= 1 << (bit % 8)
				b.receive(bad, d.to)
				if got := b.device.take(); len(got) != 0 {
					t.Fatalf("delivered with bit %d flipped: %x", bit, got)
				}
				if after := b.condition(a); after != before {
					t.Fatalf("bit %d changed %s to %s", bit, before, after)
				}
			}
			for _, ev := range b.events() { // handed over as they are: nothing has opened them yet
				switch ev.(type) {
				case InitReceived, HandshakeAnswer, STUNReceived, HopPacket:
				default:
					t.Errorf("event %T", ev)
				}
			}
			b.receive(good.pkt, good.to)
			if got := b.device.take(); len(got) != 1 || !bytes.Equal(got[0], frame) {
				t.Errorf("the packet itself came %d times", len(got))
			}
		})
	}
}

// TestSupernodeFlipsBits has a supernode change what it relays, where its own
// tag is good.
func TestSupernodeFlipsBits(t *testing.T) {
	for _, frame := range []func(a, b *member) []byte{shortUnicast, shortFlood} {
		r, a, b := relayedPair(t)
		h := r.hubs[0]
		outer := r.capture(a, frame(a, b))[0]
		packet := outer[protocol.RelayOverhead:]
		for bit := range len(packet) * 8 {
			bad := bytes.Clone(packet)
			bad[bit/8] ^= 1 << (bit % 8)
			b.receive(h.seal(h.handle[a], b, bad), h.addr)
		}
		if got := b.device.take(); len(got) != 0 {
			t.Errorf("delivered %x", got)
		}
		b.receive(h.seal(h.handle[a], b, packet), h.addr)
		if got := b.device.take(); len(got) != 1 {
			t.Errorf("the packet itself came %d times", len(got))
		}
	}
}

// TestEveryLength cuts a packet everywhere, and adds to it.
func TestEveryLength(t *testing.T) {
	for _, c := range sealedKinds {
		r, a, b := c.build(t)
		frame := c.frame(a, b)
		for n := range len(r.arrive(a, frame).pkt) + 40 {
			d := r.arrive(a, frame)
			if n == len(d.pkt) {
				continue
			}
			b.receive(append(bytes.Clone(d.pkt), make([]byte, 40)...)[:n], d.to)
			if got := b.device.take(); len(got) != 0 {
				t.Fatalf("%s: delivered at %d bytes: %x", c.name, n, got)
			}
		}
	}
}

// TestReplay gives a member every packet again: at once, later, and from
// elsewhere.
func TestReplay(t *testing.T) {
	for _, c := range sealedKinds {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := c.build(t)
			want := 0
			for range 20 {
				d := r.arrive(a, c.frame(a, b))
				want++
				b.receive(bytes.Clone(d.pkt), d.to)
				b.receive(bytes.Clone(d.pkt), d.to)
				b.dropped(t, DropReplay)
				r.advance(protocol.ReassemblyTimeout)
				b.receive(bytes.Clone(d.pkt), d.to)
				b.dropped(t, DropReplay)
				if len(r.hubs) == 0 {
					b.receive(bytes.Clone(d.pkt), elsewhere)
					b.dropped(t, DropReplay)
				}
			}
			if got := b.device.take(); len(got) != want {
				t.Errorf("%d frames of %d", len(got), want)
			}
		})
	}
}

// TestReplayThroughRelay gives a member the same sealed packet by the direct
// path and in fresh RELAY packets of a supernode.
func TestReplayThroughRelay(t *testing.T) {
	for _, frame := range []func(a, b *member) []byte{shortUnicast, shortFlood} {
		r, a, b := relayedPair(t)
		h := r.hubs[0]
		packet := bytes.Clone(r.capture(a, frame(a, b))[0][protocol.RelayOverhead:])
		b.receive(bytes.Clone(packet), a.addr)
		for range 3 {
			b.receive(h.seal(h.handle[a], b, packet), h.addr)
			b.dropped(t, DropReplay)
		}
		if got := b.device.take(); len(got) != 1 {
			t.Errorf("%d frames", len(got))
		}
	}
}

// TestReplayedFragments gives a member every piece of a frame twice, in two
// orders.
func TestReplayedFragments(t *testing.T) {
	for _, dst := range []protocol.MAC{{2, 0, 0, 0, 0, 2}, protocol.Broadcast} {
		r, a, b := pair(t)
		pkts := r.capture(a, ethernet(dst, a.self, protocol.EtherTypeIPv4, 9000))
		for _, pkt := range pkts {
			b.receive(bytes.Clone(pkt), a.addr)
		}
		slices.Reverse(pkts)
		for _, pkt := range pkts {
			b.receive(pkt, a.addr)
		}
		if got := b.drops.Count(DropReplay); int(got) != len(pkts) {
			t.Errorf("%d replays of %d pieces", got, len(pkts))
		}
		if got := b.device.take(); len(got) != 1 {
			t.Errorf("%d frames", len(got))
		}
	}
}

// TestWindow holds how late a packet may be: 8192 numbers, exactly.
func TestWindow(t *testing.T) {
	const window = 8192
	for _, group := range []bool{false, true} {
		r, a, b := pair(t)
		frame, reserve := shortUnicast(a, b), a.entry[b].session.Reserve
		if group {
			frame, reserve = shortFlood(a, b), a.group.Reserve
		}
		tooLate, last := r.arrive(a, frame), r.arrive(a, frame)
		if _, err := reserve(window - 2); err != nil {
			t.Fatal(err)
		}
		newest := r.arrive(a, frame)
		b.receive(newest.pkt, newest.to)
		b.receive(last.pkt, last.to)
		if got := b.device.take(); len(got) != 2 {
			t.Errorf("group %v: %d frames, want 2", group, len(got))
		}
		b.receive(tooLate.pkt, tooLate.to)
		b.dropped(t, DropReplay)
	}
}

// TestOtherReceiver gives a third member, and the sender itself, what was not
// sealed for them.
func TestOtherReceiver(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.join(a, c)
	r.join(b, c)
	r.direct(a, b)
	d := r.arrive(a, shortUnicast(a, b))
	c.receive(bytes.Clone(d.pkt), a.addr)
	c.dropped(t, DropUnknownSession)
	// With the right index it still has the wrong key.
	c.openUnder(b.entry[a].session.LocalIndex(), c.entry[a])
	c.receive(bytes.Clone(d.pkt), a.addr)
	c.dropped(t, DropOpen)
	a.openUnder(b.entry[a].session.LocalIndex(), a.entry[b])
	a.receive(bytes.Clone(d.pkt), b.addr)
	a.dropped(t, DropOpen)
	for _, m := range []*member{a, c} {
		if got := m.device.take(); len(got) != 0 {
			t.Errorf("delivered %x", got)
		}
	}
}

// TestRelayDrops gives a member RELAY packets that it has to drop.
func TestRelayDrops(t *testing.T) {
	r, a, b := relayedPair(t)
	h, second := r.hubs[0], r.hub()
	packet := bytes.Clone(r.capture(a, shortUnicast(a, b))[0][protocol.RelayOverhead:])
	sealed := func(p []byte) []byte { return h.seal(h.handle[a], b, p) }
	header := func(change func(*protocol.Header)) []byte {
		pkt := sealed(packet)
		h.mask.Show(h.scratch, pkt)
		hdr, _ := protocol.ParseHeader(pkt)
		change(&hdr)
		hdr.Put(pkt)
		h.mask.Hide(h.scratch, pkt)
		return pkt
	}
	nested := append(make([]byte, protocol.RelayOverhead), packet...)
	protocol.Header{Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone}.Put(nested)
	b.mask.Hide(b.scratch, nested)
	foreign := second.seal(second.handle[a], b, packet)
	second.mask.Show(h.scratch, foreign)
	h.mask.Hide(h.scratch, foreign)
	replayed := sealed(nested)
	b.receive(bytes.Clone(replayed), h.addr)
	b.undrop()
	for _, c := range []struct {
		name string
		want DropReason
		pkt  []byte
	}{
		{"no such hop session", DropUnknownSession, header(func(h *protocol.Header) { h.RX++ })},
		{"a pair session's index", DropUnknownSession, header(func(h *protocol.Header) { h.RX = b.entry[a].session.LocalIndex() })},
		{"another supernode's session", DropUnknownSession, foreign},
		{"another counter", DropOpen, header(func(h *protocol.Header) { h.CTR++ })},
		{"another handle", DropOpen, header(func(h *protocol.Header) { h.CTR ^= 1 << 32 })},
		{"another transform", DropOpen, header(func(h *protocol.Header) { h.XF = protocol.XFDataGCM })},
		{"replayed", DropReplay, replayed},
		{"noise inside", DropHeader, sealed(bytes.Repeat([]byte{0x17}, 64))},
		{"RELAY inside", DropHeader, sealed(nested)},
		{"GROUP by a supernode", DropHeader, header(func(h *protocol.Header) { h.Type = protocol.TypeGroup })},
		{"NOTICE by a supernode", DropHeader, header(func(h *protocol.Header) { h.Type = protocol.TypeNotice })},
	} {
		b.receive(c.pkt, h.addr)
		t.Run(c.name, func(t *testing.T) { b.dropped(t, c.want) })
	}
	if got := b.device.take(); len(got) != 0 {
		t.Errorf("delivered %x", got)
	}
}

// openUnder has a member open packets with any index under a session.
func (m *member) openUnder(index uint32, s *Session) {
	m.change(func(d *Draft) { d.next.sessions, d.changed = d.next.sessions.With(index, s), true })
}
