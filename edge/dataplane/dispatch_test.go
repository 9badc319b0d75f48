package dataplane

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// only returns the one event that waits, and fails if it is not of that type.
func only[E Event](t *testing.T, m *member) E {
	t.Helper()
	evs := m.events()
	if len(evs) == 1 {
		if ev, ok := evs[0].(E); ok {
			return ev
		}
	}
	var want E
	t.Fatalf("events %+v, want one %T", evs, want)
	return want
}

// stranger is what an INIT and an answer to one have in common.
type stranger struct {
	Origin Origin
	Packet []byte
}

// posted returns the INIT, the answer or the packet of a supernode that waits.
func (m *member) posted(t *testing.T, typ protocol.Type) stranger {
	t.Helper()
	switch typ {
	case protocol.TypeInit:
		return stranger(only[InitReceived](t, m))
	case protocol.TypeData:
		return stranger(only[HopPacket](t, m))
	}
	return stranger(only[HandshakeAnswer](t, m))
}

// TestStrangersPackets checks where handshakes and STUN go: to the control
// loop, unmasked, with where they came from, as a copy.
func TestStrangersPackets(t *testing.T) {
	r, a, b := relayedPair(t)
	sn := r.hubs[0]
	for _, c := range []struct {
		typ protocol.Type
		len int
	}{
		{protocol.TypeInit, protocol.InitLen},
		{protocol.TypeResp, protocol.RespLen},
		{protocol.TypeCookie, protocol.CookieLen},
		{protocol.TypeNotice, protocol.NoticeLen},
	} {
		header := protocol.Header{Type: c.typ, XF: protocol.XFPair, KI: 7, RX: 0x55}
		pkt := a.forge(header, c.len-protocol.HeaderLen)
		plain := bytes.Clone(pkt)
		b.mask.Show(b.scratch, plain)

		direct := bytes.Clone(pkt)
		b.receive(direct, elsewhere)
		clear(direct)
		ev := b.posted(t, c.typ)
		if !bytes.Equal(ev.Packet, plain) || ev.Origin != (Origin{Addr: elsewhere}) {
			t.Errorf("%v directly: %+v", c.typ, ev)
		}

		b.receive(sn.seal(0x77, b, pkt), sn.addr)
		ev = b.posted(t, c.typ)
		if !bytes.Equal(ev.Packet, plain) || ev.Origin != (Origin{Supernode: b.links[sn], Handle: 0x77}) {
			t.Errorf("%v by relay: %+v", c.typ, ev)
		}
	}
	request := stun.AppendRequest(nil, [12]byte{1})
	b.receive(bytes.Clone(request), elsewhere)
	if ev := only[STUNReceived](t, b); !bytes.Equal(ev.Packet, request) || ev.Addr != elsewhere {
		t.Errorf("STUN: %+v", ev)
	}
	if got := b.drops.nonzero(); len(got) != 0 {
		t.Errorf("drops %v", got)
	}
}

// TestStrangersDoNotCrowd checks that what anybody can send fills a channel of
// its own, and what authenticated peers say still gets through.
func TestStrangersDoNotCrowd(t *testing.T) {
	_, a, b := pair(t)
	for range 2 * cap(b.mailbox.strangers) {
		b.receive(stun.AppendRequest(nil, [12]byte{}), elsewhere)
		b.receive(a.forge(protocol.Header{Type: protocol.TypeInit}, protocol.InitLen-protocol.HeaderLen), elsewhere)
		b.receive(a.forge(protocol.Header{Type: protocol.TypeResp}, protocol.RespLen-protocol.HeaderLen), elsewhere)
	}
	if len(b.mailbox.known) != 0 || len(b.mailbox.strangers) != cap(b.mailbox.strangers) {
		t.Errorf("%d known, %d strangers", len(b.mailbox.known), len(b.mailbox.strangers))
	}
	if got, want := b.drops.Count(DropQueueFull), uint64(5*cap(b.mailbox.strangers)); got != want {
		t.Errorf("%d drops, want %d", got, want)
	}
	b.receive(a.seal(b, (&protocol.Close{}).Append(protocol.AppendControl(nil))), a.addr)
	if ev, ok := (<-b.mailbox.known).(PairMessages); !ok {
		t.Errorf("%+v", ev)
	}
}

// TestSupernodePackets checks where the packets of a supernode go.
func TestSupernodePackets(t *testing.T) {
	r, _, b := relayedPair(t)
	sn := r.hubs[0]
	packet := func(typ protocol.Type, n int, mask *crypto.Mask) []byte {
		pkt := b.forge(protocol.Header{Type: typ, XF: protocol.XFHop, KI: protocol.KINone, RX: 5}, n-protocol.HeaderLen)
		b.mask.Show(b.scratch, pkt)
		mask.Hide(b.scratch, pkt)
		return pkt
	}
	for _, c := range []struct {
		typ  protocol.Type
		len  int
		mask *crypto.Mask
	}{
		{protocol.TypeData, 80, sn.mask},
		{protocol.TypeResp, protocol.RespLen, sn.mask},
		{protocol.TypeCookie, protocol.CookieLen, sn.mask},
		{protocol.TypeReset, protocol.ResetLen, sn.mask},
		{protocol.TypeWelcome, protocol.WelcomeLen, sn.mask},
	} {
		b.receive(packet(c.typ, c.len, c.mask), sn.addr)
		ev := b.posted(t, c.typ)
		h, err := protocol.ParseHeader(ev.Packet)
		if err != nil || h.Type != c.typ || ev.Origin != (Origin{Addr: sn.addr, Supernode: b.links[sn]}) {
			t.Errorf("%v: %+v %v", c.typ, ev, err)
		}
	}
	// While a HELLO is out, packets of 96 bytes have the mask of WELCOME.
	b.change(func(d *Draft) {
		d.SetSource(sn.addr, Source{Supernode: b.links[sn], Mask: sn.mask, Welcome: crypto.HelloMask(nil)})
	})
	b.receive(packet(protocol.TypeWelcome, protocol.WelcomeLen, crypto.HelloMask(nil)), sn.addr)
	if ev := only[HandshakeAnswer](t, b); ev.Packet[0]&0x1f != byte(protocol.TypeWelcome) {
		t.Errorf("%x", ev.Packet)
	}
	b.receive(packet(protocol.TypeResp, protocol.RespLen, sn.mask), sn.addr)
	only[HandshakeAnswer](t, b)
}

// TestPairControl checks that control bodies reach the control loop opened,
// and that a keepalive and one in a GROUP packet do not.
func TestPairControl(t *testing.T) {
	r, a, b := pair(t)
	m := protocol.Ping{Nonce: [8]byte{1, 2}}
	body := m.Append(nil)
	b.receive(a.seal(b, append(protocol.AppendControl(nil), body...)), a.addr)
	ev := only[PairMessages](t, b)
	if !bytes.Equal(ev.Messages, body) || ev.Peer != b.view[a] || ev.Session != b.entry[a].session || ev.Origin != (Origin{Addr: a.addr}) {
		t.Errorf("%+v", ev)
	}
	b.receive(a.seal(b, protocol.AppendPadding(append(protocol.AppendControl(nil), body...), 30)), a.addr)
	if ev := only[PairMessages](t, b); !bytes.Equal(ev.Messages, body) {
		t.Errorf("padded: %x", ev.Messages)
	}
	b.receive(a.seal(b, protocol.AppendControl(nil)), a.addr)
	b.receive(a.sealGroup(a.group, append(protocol.AppendControl(nil), body...)), a.addr)
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("events %+v", evs)
	}
	if heard := b.view[a].count.heard.Load(); heard != b.Since(r.now) {
		t.Errorf("heard at %d", heard)
	}
}

// TestConfirmed checks that the first packet of a session that we answered is
// told once, and a forged one not at all.
func TestConfirmed(t *testing.T) {
	r, a, b := pair(t)
	b.entry[a].confirmed.Store(false)
	b.receive(a.forge(data(a, b), 60), a.addr)
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("events %+v", evs)
	}
	for i := range 3 {
		a.send(r.now, ethernet(protocol.Broadcast, a.self, 0x0806, 46))
		a.send(r.now, ethernet(b.self, a.self, 0x0806, 46))
		r.carry()
		told := 0
		for _, ev := range b.events() {
			if ev == (Confirmed{Peer: b.view[a], Session: b.entry[a].session, Origin: Origin{Addr: a.addr}}) {
				told++
			}
		}
		if want := max(1-i, 0); told != want {
			t.Errorf("frame %d: told %d times, want %d", i, told, want)
		}
	}
}

// TestRoamed checks what is told of an address that is not the peer's path:
// every 50 ms at most, and nothing of the path itself.
func TestRoamed(t *testing.T) {
	r, a, b := pair(t)
	keepalive := func(from netip.AddrPort) { b.receive(a.seal(b, protocol.AppendControl(nil)), from) }
	keepalive(a.addr)
	b.receive(a.forge(data(a, b), 60), elsewhere) // not authenticated
	if evs := b.events(); len(evs) != 0 {
		t.Fatalf("events %+v", evs)
	}
	keepalive(elsewhere)
	if ev := only[Roamed](t, b); ev.Peer != b.view[a] || ev.Origin.Addr != elsewhere {
		t.Errorf("%+v", ev)
	}
	r.advance(50*time.Millisecond - 1)
	keepalive(elsewhere)
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("events %+v", evs)
	}
	r.advance(1)
	keepalive(elsewhere)
	only[Roamed](t, b)
	if got := b.view[a].route.Load().Direct; got != a.addr {
		t.Errorf("frames moved to %v", got)
	}
}

// TestLearnEpoch checks that packets under another epoch than ours are told
// once, when they authenticate.
func TestLearnEpoch(t *testing.T) {
	c := testCommunity()
	c.Epochs = append(c.Epochs, crypto.Epoch{Index: 9, Key: [32]byte{3}, From: noon.Add(-time.Second)})
	r, a, b := pairOf(newRigOf(t, c, protocol.XFDataGCM, protocol.XFGroupGCM, 2))
	b.change(func(d *Draft) { d.SetEpochs(c.Epochs) })
	newer, err := crypto.NewGroupSender(crypto.GroupConfig{Community: c, Epoch: c.Epochs[1], XF: uint8(protocol.XFGroupGCM), Static: a.static, Serial: 1, Now: r.now, Random: rand.NewChaCha8([32]byte{9})})
	if err != nil {
		t.Fatal(err)
	}
	b.groupRx.Vouch(r.now, a.static, newer.Vouch())
	inner := fullFrame(ethernet(protocol.Broadcast, a.self, 0x0806, 46))
	bad := a.sealGroup(newer, inner)
	bad[len(bad)/2] ^= 1
	b.receive(bad, a.addr)
	b.receive(a.sealGroup(a.group, inner), a.addr)
	only[Needed](t, b) // once for all of them
	b.receive(a.sealGroup(newer, inner), a.addr)
	if ev := only[EpochLearned](t, b); ev.KI != 9 {
		t.Errorf("%+v", ev)
	}
	b.receive(a.sealGroup(newer, inner), a.addr)
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("told again: %+v", evs)
	}
	if got := b.device.take(); len(got) != 3 {
		t.Errorf("%d frames", len(got))
	}
}

// TestUnvouchedGroup checks that a GROUP packet of a sender that did not vouch
// for its salt is judged by the control loop, and changes nothing before.
func TestUnvouchedGroup(t *testing.T) {
	for _, c := range []struct {
		name  string
		made  time.Time // the salt
		stale bool
	}{
		{"in its time", noon, false},
		{"at the end of its time", noon.Add(-12 * time.Minute), false},
		{"too old", noon.Add(-12*time.Minute - time.Second), true},
		{"from the future", noon.Add(13 * time.Minute), true},
	} {
		r, a, b := pair(t)
		g, err := crypto.NewGroupSender(crypto.GroupConfig{Community: r.community, Epoch: r.community.Epochs[0], XF: uint8(r.groupXF), Now: c.made, Random: rand.NewChaCha8([32]byte{5})})
		if err != nil {
			t.Fatal(err)
		}
		before := b.condition(a)
		inner := fullFrame(ethernet(protocol.Broadcast, host(1), 0x0806, 46))
		pkt := a.sealGroup(g, inner)
		b.receive(bytes.Clone(pkt), a.addr)
		ev := only[Unvouched](t, b)
		if !bytes.Equal(ev.Inner, inner) || ev.Origin != (Origin{Addr: a.addr}) || ev.Stale != c.stale {
			t.Errorf("%s: %+v", c.name, ev)
		}
		if after := b.condition(a); after != before || len(b.device.take()) != 0 {
			t.Errorf("%s: %s became %s", c.name, before, after)
		}
		b.receive(pkt, a.addr)
		b.dropped(t, DropReplay)
	}
}

// A control loop that is flooded hears of a confirmed session with a later packet: the
// first is told again until there is room.
func TestConfirmedWhileFull(t *testing.T) {
	r, a, b := pair(t)
	b.entry[a].confirmed.Store(false)
	for b.mailbox.post(Needed{}) {
	}
	hello := func() {
		a.send(r.now, ethernet(b.self, a.self, 0x0806, 46))
		r.carry()
	}
	hello()
	for range b.events() {
	}
	hello()
	told := 0
	for _, ev := range b.events() {
		if _, ok := ev.(Confirmed); ok {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
