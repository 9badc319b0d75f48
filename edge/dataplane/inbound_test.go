package dataplane

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// elsewhere is an underlay address that nobody has.
var elsewhere = netip.MustParseAddrPort("192.0.2.66:6666")

// seal makes a DATA packet around any inner, as a member with the session's
// keys could.
func (m *member) seal(to *member, inner []byte) []byte {
	s := m.entry[to].session
	ctr, err := s.Reserve(1)
	if err != nil {
		m.tb.Fatal(err)
	}
	pkt := make([]byte, protocol.HeaderLen+len(inner)+protocol.TagLen)
	m.out.sealInto(s, pkt, protocol.Header{
		Type: protocol.TypeData, XF: protocol.Transform(s.XF()), KI: s.KI(), RX: s.RemoteIndex(), CTR: ctr,
	}, inner, 0)
	return pkt
}

// sealGroup makes a GROUP packet around any inner.
func (m *member) sealGroup(g *crypto.GroupSender, inner []byte) []byte {
	ctr, err := g.Reserve(1)
	if err != nil {
		m.tb.Fatal(err)
	}
	buf := make([]byte, headroom+len(inner)+tailroom)
	copy(buf[headroom:], inner)
	pkt := m.out.sealGroup(g, ctr, buf, headroom, headroom+len(inner))
	m.mask.Hide(m.scratch, pkt)
	return slices.Clip(pkt)
}

// forge makes a packet with a header and n bytes that nobody sealed.
func (m *member) forge(h protocol.Header, n int) []byte {
	pkt := make([]byte, protocol.HeaderLen+n)
	for i := range pkt {
		pkt[i] = byte(i * 31)
	}
	h.Put(pkt)
	m.mask.Hide(m.scratch, pkt)
	return pkt
}

// fullFrame is the inner of a whole frame.
func fullFrame(f []byte) []byte { return append([]byte{0}, f...) }

// data is the header of a DATA packet for a session of b with a.
func data(a, b *member) protocol.Header {
	return protocol.Header{
		Type: protocol.TypeData, XF: protocol.XFDataGCM, KI: a.group.KI(), RX: b.entry[a].session.LocalIndex(), CTR: 1,
	}
}

// inboundDrop is one datagram, or more, that b has to drop for a reason.
type inboundDrop struct {
	name string
	want DropReason
	give func(r *rig, a, b *member)
}

// TestInboundDrops gives a member with a direct path what it has to drop.
func TestInboundDrops(t *testing.T) {
	for _, c := range append(append(headerDrops(), sealedDrops()...), frameDrops()...) {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := pair(t)
			c.give(r, a, b)
			b.dropped(t, c.want)
			if got := b.device.take(); len(got) != 0 {
				t.Errorf("delivered %x", got)
			}
			if n := b.known(); n != 0 {
				t.Errorf("learned %d addresses", n)
			}
			r.arrives(t, "a good frame afterwards", ethernet(b.self, a.self, protocol.EtherTypeIPv4, 99), a, b)
		})
	}
}

func headerDrops() []inboundDrop {
	forged := func(change func(*protocol.Header)) func(*rig, *member, *member) {
		return func(_ *rig, a, b *member) {
			h := data(a, b)
			change(&h)
			b.receive(a.forge(h, 100), a.addr)
		}
	}
	return []inboundDrop{
		{"nothing", DropShort, func(_ *rig, a, b *member) { b.receive(nil, a.addr) }},
		{"31 bytes", DropShort, func(_ *rig, a, b *member) { b.receive(make([]byte, 31), a.addr) }},
		{"longer than any packet", DropLong, func(_ *rig, a, b *member) {
			b.receive(a.seal(b, make([]byte, protocol.MaxDatagram-protocol.HeaderLen-protocol.TagLen+1)), a.addr)
		}},
		{"another version", DropHeader, func(_ *rig, a, b *member) {
			pkt := a.forge(data(a, b), 100)
			pkt[0] ^= 0x60
			b.receive(pkt, a.addr)
		}},
		{"type 0", DropHeader, forged(func(h *protocol.Header) { h.Type = 0 })},
		{"type 31", DropHeader, forged(func(h *protocol.Header) { h.Type = 31 })},
		{"unknown flag", DropHeader, forged(func(h *protocol.Header) { h.Flags = 4 })},
		{"RELAY by an edge", DropHeader, forged(func(h *protocol.Header) { h.Type = protocol.TypeRelay })},
		{"RESET by an edge", DropHeader, forged(func(h *protocol.Header) { h.Type = protocol.TypeReset })},
		{"HELLO by an edge", DropHeader, forged(func(h *protocol.Header) { h.Type = protocol.TypeHello })},
		{"WELCOME by an edge", DropHeader, forged(func(h *protocol.Header) { h.Type = protocol.TypeWelcome })},
		{"no such session", DropUnknownSession, forged(func(h *protocol.Header) { h.RX ^= 0x80 })},
		{"the sender's own index", DropUnknownSession, func(r *rig, a, b *member) {
			pkts := r.capture(b, ethernet(a.self, b.self, protocol.EtherTypeIPv4, 10))
			b.receive(pkts[0], a.addr) // reflected
		}},
		{"GROUP of another community", DropGroupTag, forged(func(h *protocol.Header) {
			h.Type, h.XF, h.RX = protocol.TypeGroup, protocol.XFGroupGCM, h.RX^1
		})},
	}
}

func sealedDrops() []inboundDrop {
	forged := func(change func(*protocol.Header)) func(*rig, *member, *member) {
		return func(_ *rig, a, b *member) {
			h := data(a, b)
			change(&h)
			b.receive(a.forge(h, 100), a.addr)
		}
	}
	group := func(h *protocol.Header, a *member) {
		h.Type, h.RX, h.XF = protocol.TypeGroup, a.tag, protocol.XFGroupGCM
	}
	return []inboundDrop{
		{"not sealed", DropOpen, forged(func(*protocol.Header) {})},
		{"unknown transform", DropTransform, forged(func(h *protocol.Header) { h.XF = 0x5f })},
		{"in clear", DropOpen, forged(func(h *protocol.Header) { h.XF = protocol.XFNull })},
		{"another key index", DropOpen, forged(func(h *protocol.Header) { h.KI++ })},
		{"GROUP, not sealed", DropOpen, func(_ *rig, a, b *member) {
			h := data(a, b)
			group(&h, a)
			b.receive(a.forge(h, 100), a.addr)
		}},
		{"GROUP under an unknown transform", DropTransform, func(_ *rig, a, b *member) {
			h := data(a, b)
			group(&h, a)
			h.XF = 0x40
			b.receive(a.forge(h, 100), a.addr)
			if n := b.drops.Counts()["transform-0x40"]; n != 1 {
				b.tb.Errorf("transform 0x40 was counted %d times, want 1", n)
			}
		}},
		{"GROUP in clear", DropOpen, func(_ *rig, a, b *member) {
			h := data(a, b)
			group(&h, a)
			h.XF = protocol.XFNull
			b.receive(a.forge(h, 100), a.addr)
		}},
		{"GROUP of an unknown epoch", DropOpen, func(_ *rig, a, b *member) {
			h := data(a, b)
			group(&h, a)
			h.KI++
			b.receive(a.forge(h, 100), a.addr)
		}},
		{"GROUP without room for a salt", DropOpen, func(_ *rig, a, b *member) {
			h := data(a, b)
			group(&h, a)
			b.receive(a.forge(h, 20), a.addr)
		}},
		{"a shorter tag", DropOpen, func(_ *rig, a, b *member) { b.receive(a.forge(data(a, b), 16), a.addr) }},
	}
}

// behindSession seals inners, whole or as the frame in it, for b.
func behindSession(inner func(a, b *member) []byte) func(*rig, *member, *member) {
	return func(_ *rig, a, b *member) { b.receive(a.seal(b, inner(a, b)), a.addr) }
}

func frameDrops() []inboundDrop {
	frame := func(build func(a, b *member) []byte) func(*rig, *member, *member) {
		return behindSession(func(a, b *member) []byte { return fullFrame(build(a, b)) })
	}
	return []inboundDrop{
		{"empty inner", DropInner, behindSession(func(*member, *member) []byte { return nil })},
		{"compressed", DropInner, behindSession(func(a, b *member) []byte {
			return append([]byte{1}, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60)...)
		})},
		{"half a header", DropInner, behindSession(func(*member, *member) []byte { return make([]byte, 14) })},
		{"half a tag", DropInner, behindSession(func(a, b *member) []byte {
			return fullFrame(ethernet(b.self, a.self, protocol.EtherTypeVLAN, 1))
		})},
		{"padding longer than the inner", DropInner, behindSession(func(a, b *member) []byte {
			return append(append([]byte{1 << 2}, ethernet(b.self, a.self, 0x0806, 46)...), 0xff, 0xff)
		})},
		{"partial checksum of another field", DropInner, behindSession(func(a, b *member) []byte {
			inner := partial(a, b)
			inner[2] = 4
			return inner
		})},
		{"malformed control", DropInner, behindSession(func(*member, *member) []byte { return []byte{2<<6 | 1} })},
		{"malformed fragment", DropInner, behindSession(func(*member, *member) []byte { return []byte{3<<6 | 1} })},
		{"run longer than any frame", DropFragment, giveLongRun},
		{"our own source", DropOwnSource, frame(func(a, b *member) []byte { return ethernet(b.self, b.self, protocol.EtherTypeIPv4, 60) })},
		{"our own source in a flood", DropOwnSource, func(_ *rig, a, b *member) {
			b.receive(a.sealGroup(a.group, fullFrame(ethernet(protocol.Broadcast, b.self, 0x0806, 46))), a.addr)
		}},
		{"a group as source", DropFrameInvalid, frame(func(a, b *member) []byte {
			return ethernet(b.self, protocol.MAC{1, 0, 0x5e, 0, 0, 1}, protocol.EtherTypeIPv4, 60)
		})},
		{"broadcast as source", DropFrameInvalid, frame(func(a, b *member) []byte {
			return ethernet(b.self, protocol.Broadcast, protocol.EtherTypeIPv4, 60)
		})},
		{"PAUSE", DropReserved, frame(func(a, _ *member) []byte { return ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, 1}, a.self, 0x8808, 60) })},
		{"LACP", DropReserved, frame(func(a, _ *member) []byte { return ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, 2}, a.self, 0x8809, 60) })},
		{"LACP of a host", DropReserved, frame(func(*member, *member) []byte {
			return ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, 2}, protocol.MAC{2, 9}, 0x8809, 60)
		})},
		{"EAPOL", DropReserved, frame(func(a, _ *member) []byte { return ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, 3}, a.self, 0x888e, 60) })},
		{"PAUSE in a flood", DropReserved, func(_ *rig, a, b *member) {
			b.receive(a.sealGroup(a.group, fullFrame(ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, 1}, a.self, 0x8808, 60))), a.addr)
		}},
		{"PAUSE with a tag", DropReserved, frame(func(a, _ *member) []byte {
			return append(ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, 1}, a.self, protocol.EtherTypeVLAN, 0), 0, 10, 0x88, 0x08, 0, 1)
		})},
		{"unvouched salts over their budget", DropGroupBudget, giveManySalts},
		{"no room in the mailbox", DropQueueFull, func(_ *rig, a, b *member) {
			for range cap(b.mailbox.known) {
				b.mailbox.known <- Needed{}
			}
			body := append(protocol.AppendControl(nil), (&protocol.Close{}).Append(nil)...)
			b.receive(a.seal(b, body), a.addr)
			b.events()
		}},
		{"no room for strangers", DropQueueFull, func(_ *rig, a, b *member) {
			for range cap(b.mailbox.strangers) {
				b.mailbox.strangers <- STUNReceived{}
			}
			b.receive(a.forge(protocol.Header{Type: protocol.TypeInit}, protocol.InitLen-protocol.HeaderLen), elsewhere)
			b.events()
		}},
		{"the device refuses it", DropDeviceWrite, func(r *rig, a, b *member) {
			b.device.err = errors.New("refused")
			a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
			r.carry()
			b.device.err = nil
		}},
	}
}

// partial is a good inner with a partial checksum: a UDP datagram whose sum
// starts at byte 34 of the frame, in a field 6 bytes on.
func partial(a, b *member) []byte {
	f := ethernet(b.self, a.self, protocol.EtherTypeIPv4, 28)
	copy(f[14:], []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 9, 0, 8, 0, 0})
	return append([]byte{1 << 3, 34, 6}, f...)
}

// giveLongRun sends pieces of a frame that is longer than any device takes.
func giveLongRun(_ *rig, a, b *member) {
	inner := fullFrame(ethernet(b.self, a.self, protocol.EtherTypeIPv4, maxWhole))
	count := protocol.PieceCount(len(inner), 1400)
	for i := range count {
		b.receive(a.seal(b, protocol.AppendPiece(nil, inner, i, count)), a.addr)
	}
}

// giveManySalts sends GROUP packets under one salt more than one origin may.
func giveManySalts(r *rig, a, b *member) {
	random := rand.NewChaCha8([32]byte{99})
	for range 9 {
		g, err := crypto.NewGroupSender(crypto.GroupConfig{Community: r.community, Epoch: r.community.Epochs[0], XF: uint8(r.groupXF), Now: r.now, Random: random})
		if err != nil {
			r.tb.Fatal(err)
		}
		b.receive(a.sealGroup(g, fullFrame(ethernet(protocol.Broadcast, a.self, 0x0806, 46))), a.addr)
	}
}

// TestUnbound gives a member frames of a peer whose address is not bound: its
// statement is not known, or the address is another identity's.
func TestUnbound(t *testing.T) {
	for _, bound := range []bool{false, true} {
		r, a, b := pair(t)
		b.change(func(d *Draft) {
			d.UnbindMAC(a.self)
			if bound {
				d.BindMAC(NewPeer([32]byte{}, a.self))
			}
		})
		for _, f := range [][]byte{
			ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60),
			ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60),
			ethernet(protocol.Broadcast, a.self, 0x0806, 46),
		} {
			a.send(r.now, f)
			r.carry()
			b.dropped(t, DropUnbound)
		}
		if got := b.device.take(); len(got) != 0 || b.known() != 0 {
			t.Errorf("delivered %d, learned %d", len(got), b.known())
		}
	}
}

// TestSpoofedSource has one edge use the hardware address of another.
func TestSpoofedSource(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.join(b, c)
	r.direct(a, b)
	for _, dst := range []protocol.MAC{b.self, protocol.Broadcast} {
		for _, tags := range [][]uint16{nil, {5}} {
			a.send(r.now, ethernet(dst, c.self, protocol.EtherTypeIPv4, 60, tags...))
			r.carry()
			b.dropped(t, DropSpoofedSource)
		}
	}
	if got := b.device.take(); len(got) != 0 || b.known() != 0 {
		t.Errorf("delivered %d, learned %d", len(got), b.known())
	}
}

// TestElidedSource checks that an elided frame carries its sender's address,
// whatever the sender would like it to be.
func TestElidedSource(t *testing.T) {
	_, a, b := pair(t)
	body := bytes.Repeat([]byte{0x45}, 40)
	b.receive(a.seal(b, append([]byte{1 << 6}, body...)), a.addr)
	want := append(ethernet(b.self, a.self, protocol.EtherTypeIPv4, 0), body...)
	if got := b.device.take(); len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("%x", got)
	}
}

// TestElidedInGroup checks that no GROUP packet makes two edges see different
// frames: the elided kind is rebuilt for one receiver only.
func TestElidedInGroup(t *testing.T) {
	_, a, b := pair(t)
	inner := append([]byte{1 << 6}, bytes.Repeat([]byte{0x45}, 40)...)
	b.receive(a.sealGroup(a.group, inner), a.addr)
	b.dropped(t, DropInner)
	for i := range 2 {
		b.receive(a.sealGroup(a.group, protocol.AppendPiece(nil, inner, i, 2)), a.addr)
	}
	b.dropped(t, DropFragment)
	if got := b.device.take(); len(got) != 0 {
		t.Errorf("delivered %x", got)
	}
}

// TestReadUDP reads runs of datagrams that the system joined, and ends with
// the socket.
func TestReadUDP(t *testing.T) {
	r, a, b := pair(t)
	var want, run []byte
	seg := 0
	for i := range 5 {
		f := ethernet(b.self, a.self, protocol.EtherTypeIPv4, 300-i/4, 0x0abc)
		want = append(want, f...)
		pkt := r.capture(a, f)[0]
		seg = max(seg, len(pkt))
		run = append(run, pkt...) // the last one is shorter
	}
	single := ethernet(b.self, a.self, protocol.EtherTypeIPv6, 10)
	want = append(want, single...)
	pkt := r.capture(a, single)[0]
	b.conn.batches = [][]transport.Datagram{
		{{Buf: run, N: len(run), Seg: seg, Addr: a.addr}, {Buf: pkt, N: len(pkt), Addr: a.addr}},
		{{Buf: pkt[:5], N: 5, Addr: a.addr}, {Buf: nil, N: 0, Addr: a.addr}},
	}
	b.receiveAll(t)
	if got := bytes.Join(b.device.take(), nil); !bytes.Equal(got, want) {
		t.Errorf("%d bytes of frames, want %d", len(got), len(want))
	}
}

// TestReadUDPFragments reads the pieces of several frames in one batch, between
// frames that came whole.
func TestReadUDPFragments(t *testing.T) {
	r, a, b := pair(t)
	var want [][]byte
	b.conn.batches = make([][]transport.Datagram, 1)
	for _, n := range []int{9000, 60, 3000, 8000, 70} {
		f := ethernet(b.self, a.self, protocol.EtherTypeIPv4, n)
		want = append(want, f)
		var run []byte
		var seg int
		for _, pkt := range r.capture(a, f) {
			seg = max(seg, len(pkt))
			run = append(run, pkt...)
		}
		b.conn.batches[0] = append(b.conn.batches[0], transport.Datagram{Buf: run, N: len(run), Seg: seg, Addr: a.addr})
	}
	b.receiveAll(t)
	b.delivered(t, want)
}

// TestFragmentsTooLate checks that pieces wait two seconds for the others and
// no longer.
func TestFragmentsTooLate(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		want int
	}{{protocol.ReassemblyTimeout - 1, 1}, {protocol.ReassemblyTimeout, 0}} {
		r, a, b := pair(t)
		pkts := r.capture(a, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 3000))
		b.receive(pkts[0], a.addr)
		r.advance(c.wait)
		for _, pkt := range pkts[1:] {
			b.receive(pkt, a.addr)
		}
		if got := b.device.take(); len(got) != c.want {
			t.Errorf("after %v: %d frames, want %d", c.wait, len(got), c.want)
		}
	}
}

// TestFragmentsOfTwoSessions mixes pieces that have the same numbers in two
// sessions of one peer, as happens at every rekey, and under two salts.
func TestFragmentsOfTwoSessions(t *testing.T) {
	for _, dst := range []protocol.MAC{{2, 0, 0, 0, 0, 2}, protocol.Broadcast} {
		r, a, b := pair(t)
		frames := [][]byte{ethernet(dst, a.self, protocol.EtherTypeIPv4, 3000), ethernet(dst, host(9), protocol.EtherTypeIPv6, 2999)}
		one := r.capture(a, frames[0])
		r.join(a, b) // a new session, in the same view
		a.rollSalt(r, b)
		two := r.capture(a, frames[1])
		for i := range one {
			b.receive(one[i], a.addr)
			b.receive(two[i], a.addr)
		}
		got := b.device.take()
		if len(got) != 2 || !bytes.Equal(got[0], frames[0]) || !bytes.Equal(got[1], frames[1]) {
			t.Errorf("to %v: %d frames, or mixed ones", dst, len(got))
		}
	}
}

// rollSalt gives a member another salt, and vouches for it.
func (m *member) rollSalt(r *rig, to *member) {
	g, err := crypto.NewGroupSender(crypto.GroupConfig{Community: r.community, Epoch: r.community.Epochs[0], XF: uint8(r.groupXF), Static: m.static, Serial: 1, Now: r.now, Random: rand.NewChaCha8([32]byte{0x77})})
	if err != nil {
		r.tb.Fatal(err)
	}
	m.group = g
	m.change(func(d *Draft) { d.SetGroup(g) })
	to.groupRx.Vouch(r.now, m.static, g.Vouch())
}

// TestFragmentsOutOfOrder gives the pieces of several frames backwards and
// mixed.
func TestFragmentsOutOfOrder(t *testing.T) {
	r, a, b := pair(t)
	var pkts [][]byte
	for i := range 4 {
		pkts = append(pkts, r.capture(a, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 6000+i))...)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(pkts), func(i, j int) { pkts[i], pkts[j] = pkts[j], pkts[i] })
	for _, pkt := range pkts {
		b.receive(pkt, a.addr)
	}
	if got := b.device.take(); len(got) != 4 {
		t.Errorf("%d frames of 4", len(got))
	}
}

// TestControlInPieces has control messages come in pieces: inside a session they
// are taken as if they were one packet's, in GROUP they are not taken at all.
func TestControlInPieces(t *testing.T) {
	_, a, b := pair(t)
	m := protocol.Ping{Nonce: [8]byte{7}, Pad: 1500}
	inner := m.Append(protocol.AppendControl(nil))
	const count = 2
	for i := range count {
		b.receive(a.seal(b, protocol.AppendPiece(nil, inner, i, count)), a.addr)
	}
	got := only[PairMessages](t, b)
	if !got.InPieces || !bytes.Equal(got.Messages, inner[1:]) || got.Origin != (Origin{Addr: a.addr}) {
		t.Errorf("%+v", got)
	}
	b.undrop()
	for i := range count {
		b.receive(a.sealGroup(a.group, protocol.AppendPiece(nil, inner, i, count)), a.addr)
	}
	b.dropped(t, DropFragment)
}
