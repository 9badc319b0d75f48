package edge

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

// only returns the one event that waits, and fails if it is not of that kind.
func (m *member) only(t *testing.T, kind eventKind) event {
	t.Helper()
	evs := m.events()
	if len(evs) != 1 || evs[0].kind != kind {
		t.Fatalf("events %+v, want one of kind %d", evs, kind)
	}
	return evs[0]
}

// TestStrangersPackets checks where handshakes and STUN go: to the control
// loop, unmasked, with where they came from, as a copy.
func TestStrangersPackets(t *testing.T) {
	r, a, b := relayedPair(t)
	sn := r.hubs[0]
	for _, c := range []struct {
		typ  protocol.Type
		len  int
		want eventKind
	}{
		{protocol.TypeInit, protocol.InitLen, eventInit},
		{protocol.TypeResp, protocol.RespLen, eventAnswer},
		{protocol.TypeCookie, protocol.CookieLen, eventAnswer},
		{protocol.TypeNotice, protocol.NoticeLen, eventAnswer},
	} {
		header := protocol.Header{Type: c.typ, XF: protocol.XFPair, KI: 7, RX: 0x55}
		pkt := a.forge(header, c.len-protocol.HeaderLen)
		plain := bytes.Clone(pkt)
		b.mask.Show(b.scratch, plain)

		direct := bytes.Clone(pkt)
		b.receive(direct, elsewhere)
		clear(direct)
		ev := b.only(t, c.want)
		if !bytes.Equal(ev.raw, plain) || ev.from != elsewhere || ev.link != nil {
			t.Errorf("%v directly: %+v", c.typ, ev)
		}

		b.receive(sn.seal(0x77, b, pkt), sn.addr)
		ev = b.only(t, c.want)
		if !bytes.Equal(ev.raw, plain) || ev.from.IsValid() || ev.link != b.links[sn] || ev.handle != 0x77 {
			t.Errorf("%v by relay: %+v", c.typ, ev)
		}
	}
	request := stun.AppendRequest(nil, [12]byte{1})
	b.receive(bytes.Clone(request), elsewhere)
	if ev := b.only(t, eventSTUN); !bytes.Equal(ev.raw, request) || ev.from != elsewhere {
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
	if got, want := b.drops[dropQueueFull].Load(), uint64(5*cap(b.mailbox.strangers)); got != want {
		t.Errorf("%d drops, want %d", got, want)
	}
	b.receive(a.seal(b, (&protocol.Close{}).Append(protocol.AppendControl(nil))), a.addr)
	if ev := <-b.mailbox.known; ev.kind != eventPair {
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
		want eventKind
	}{
		{protocol.TypeData, 80, sn.mask, eventHop},
		{protocol.TypeResp, protocol.RespLen, sn.mask, eventAnswer},
		{protocol.TypeCookie, protocol.CookieLen, sn.mask, eventAnswer},
		{protocol.TypeReset, protocol.ResetLen, sn.mask, eventAnswer},
		{protocol.TypeWelcome, protocol.WelcomeLen, sn.mask, eventAnswer},
	} {
		b.receive(packet(c.typ, c.len, c.mask), sn.addr)
		ev := b.only(t, c.want)
		h, err := protocol.ParseHeader(ev.raw)
		if err != nil || h.Type != c.typ || ev.from != sn.addr || ev.link != b.links[sn] {
			t.Errorf("%v: %+v %v", c.typ, ev, err)
		}
	}
	// While a HELLO is out, packets of 96 bytes have the mask of WELCOME.
	b.table.Load().sources[sn.addr].hello = true
	b.receive(packet(protocol.TypeWelcome, protocol.WelcomeLen, b.hello), sn.addr)
	if ev := b.only(t, eventAnswer); ev.raw[0]&0x1f != byte(protocol.TypeWelcome) {
		t.Errorf("%x", ev.raw)
	}
	b.receive(packet(protocol.TypeResp, protocol.RespLen, sn.mask), sn.addr)
	b.only(t, eventAnswer)
}

// TestPairControl checks that control bodies reach the control loop opened,
// and that a keepalive and one in a GROUP packet do not.
func TestPairControl(t *testing.T) {
	r, a, b := pair(t)
	m := protocol.Ping{Nonce: [8]byte{1, 2}}
	body := m.Append(nil)
	b.receive(a.seal(b, append(protocol.AppendControl(nil), body...)), a.addr)
	ev := b.only(t, eventPair)
	if !bytes.Equal(ev.raw, body) || ev.peer != b.view[a] || ev.session != b.entry[a].session || ev.from != a.addr {
		t.Errorf("%+v", ev)
	}
	b.receive(a.seal(b, protocol.AppendPadding(append(protocol.AppendControl(nil), body...), 30)), a.addr)
	if ev := b.only(t, eventPair); !bytes.Equal(ev.raw, body) {
		t.Errorf("padded: %x", ev.raw)
	}
	b.receive(a.seal(b, protocol.AppendControl(nil)), a.addr)
	b.receive(a.sealGroup(a.group, append(protocol.AppendControl(nil), body...)), a.addr)
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("events %+v", evs)
	}
	if heard := b.view[a].count.heard.Load(); heard != b.since(r.now) {
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
			if ev.kind == eventConfirmed && ev.peer == b.view[a] && ev.session == b.entry[a].session && ev.from == a.addr {
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
	if ev := b.only(t, eventRoamed); ev.peer != b.view[a] || ev.from != elsewhere {
		t.Errorf("%+v", ev)
	}
	r.advance(50*time.Millisecond - 1)
	keepalive(elsewhere)
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("events %+v", evs)
	}
	r.advance(1)
	keepalive(elsewhere)
	b.only(t, eventRoamed)
	if got := b.view[a].route.Load().direct; got != a.addr {
		t.Errorf("frames moved to %v", got)
	}
}

// TestLearnEpoch checks that packets under another epoch than ours are told
// once, when they authenticate.
func TestLearnEpoch(t *testing.T) {
	c := testCommunity()
	c.Epochs = append(c.Epochs, crypto.Epoch{Index: 9, Key: [32]byte{3}, From: noon.Add(-time.Second)})
	r, a, b := pairOf(newRigOf(t, c, protocol.XFDataGCM, protocol.XFGroupGCM, 2))
	b.table.Load().epochs[9] = &c.Epochs[1]
	newer, err := crypto.NewGroupSender(c, c.Epochs[1], uint8(protocol.XFGroupGCM), r.now, rand.NewChaCha8([32]byte{9}))
	if err != nil {
		t.Fatal(err)
	}
	b.groupRx.Vouch(r.now, a.static, newer.KI(), newer.XF(), newer.Salt())
	inner := fullFrame(ethernet(protocol.Broadcast, a.self, 0x0806, 46))
	bad := a.sealGroup(newer, inner)
	bad[len(bad)/2] ^= 1
	b.receive(bad, a.addr)
	b.receive(a.sealGroup(a.group, inner), a.addr)
	if evs := b.events(); len(evs) != 0 {
		t.Fatalf("events %+v", evs)
	}
	b.receive(a.sealGroup(newer, inner), a.addr)
	if ev := b.only(t, eventLearn); ev.ki != 9 {
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
		g, err := crypto.NewGroupSender(r.community, r.community.Epochs[0], uint8(r.groupXF), c.made, rand.NewChaCha8([32]byte{5}))
		if err != nil {
			t.Fatal(err)
		}
		before := b.condition(a)
		inner := fullFrame(ethernet(protocol.Broadcast, host(1), 0x0806, 46))
		pkt := a.sealGroup(g, inner)
		b.receive(bytes.Clone(pkt), a.addr)
		ev := b.only(t, eventUnvouched)
		if !bytes.Equal(ev.raw, inner) || ev.from != a.addr || ev.stale != c.stale {
			t.Errorf("%s: %+v", c.name, ev)
		}
		if after := b.condition(a); after != before || len(b.device.take()) != 0 {
			t.Errorf("%s: %s became %s", c.name, before, after)
		}
		b.receive(pkt, a.addr)
		b.dropped(t, dropReplay)
	}
}
