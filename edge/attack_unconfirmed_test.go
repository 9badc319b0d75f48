package edge

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// The tests of this file have somebody send INITs that no session comes of: an ex-member,
// somebody who has recorded one, a member with as many keys as it likes.

// rolled changes a configuration to a community that goes over to another epoch in half
// an hour: its key is received already, and not yet sent under.
func rolled(c *Config) {
	c.Community.Epochs[0].Until = noon.Add(30 * time.Minute)
	c.Community.Epochs = append(c.Community.Epochs, crypto.Epoch{Index: 8, Key: [32]byte{8}, From: noon.Add(30 * time.Minute)})
}

// initOf returns an INIT of an identity, made under a psk and the key index ki.
func (e *testEdge) initOf(id *crypto.Identity, ki uint8, psk [32]byte, now time.Time) []byte {
	e.tb.Helper()
	p := protocol.InitPayload{Stamp: uint64(now.UnixNano()), VMin: 1, VMax: 1, MAC: protocol.MAC(id.MAC(e.self.cid)), MTU: 1370}
	var payload [protocol.InitPayloadLen]byte
	p.Put(&payload)
	var hdr [protocol.HeaderLen]byte
	protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: ki, RX: 77, CTR: protocol.Revision}.Put(hdr[:])
	_, pkt, err := crypto.Initiate(crypto.HandshakeConfig{Local: id, CID: e.self.cid, PSK: psk}, e.self.identity.Static, hdr, payload, nil)
	if err != nil {
		e.tb.Fatal(err)
	}
	return pkt
}

// An ex-member knows the community's secret and the index of the epoch that it was left
// out of, and not its key. Its INIT moves nobody to that epoch, and nothing is kept of it.
func TestExMembersINIT(t *testing.T) {
	v := registered(t, rolled)
	v.handle(noon, dataplane.InitReceived{Origin: atPeer, Packet: v.initOf(testIdentity(9), 8, [32]byte{66}, noon)})
	v.pass(noon.Add(saltAhead))
	if ki := v.keys.sendingIndex(); ki != 7 {
		t.Errorf("sending went over to the key index %d", ki)
	}
	if len(v.peers.byStatic) != 0 || v.data.draft.SessionCount() != 0 {
		t.Errorf("%d peers and %d sessions are kept", len(v.peers.byStatic), v.data.draft.SessionCount())
	}
}

// A member's INIT is not believed before its session is confirmed either: not its epoch,
// not its address, not that anybody is there.
func TestNothingLearnedFromINIT(t *testing.T) {
	v := registered(t, rolled)
	psk, _ := v.keys.PSK(noon, 8)
	known := v.met(2, "roof")
	known.seen = noon.Add(-time.Hour)
	v.hears()
	for _, n := range []byte{2, 9} {
		from := dataplane.Origin{Supernode: v.s.view, Handle: 40 + uint32(n)}
		v.handle(noon, dataplane.InitReceived{Origin: from, Packet: v.initOf(testIdentity(n), 8, psk, noon)})
	}
	if heard := v.hears(); len(heard) != 0 {
		t.Errorf("a supernode was told or asked something: %v", types(heard))
	}
	v.pass(noon.Add(saltAhead))
	if ki := v.keys.sendingIndex(); ki != 7 {
		t.Errorf("sending went over to the key index %d", ki)
	}
	if known.handles[0] != 2 || len(v.peers.byHandle[0]) != 1 {
		t.Errorf("handles %v", v.peers.byHandle[0])
	}
	if !known.seen.Equal(noon.Add(-time.Hour)) || known.sessions.current.Crypto().LocalIndex() != 200 {
		t.Error("the peer counts as heard, or its session was displaced")
	}
	if len(v.peers.byStatic) != 2 || len(v.peers.half) != 1 {
		t.Errorf("%d peers, %d unconfirmed", len(v.peers.byStatic), len(v.peers.half))
	}
	if n := v.data.draft.SessionCount(); n != 3 {
		t.Errorf("%d sessions", n)
	}
	v.pass(noon.Add(confirmWithin))
	if len(v.peers.byStatic) != 1 || len(v.peers.half) != 0 || v.data.draft.SessionCount() != 1 {
		t.Errorf("%d peers and %d sessions are left of it", len(v.peers.byStatic), v.data.draft.SessionCount())
	}
}

// An INIT that somebody recorded comes through another handle after our restart, when
// nobody remembers its stamp. The handle is not the peer's.
func TestRecordedINITThroughAnotherHandle(t *testing.T) {
	before := registered(t, nil)
	psk, _ := before.keys.PSK(noon, 7)
	recorded := before.initOf(testIdentity(2), 7, psk, noon)
	v := registered(t, nil)
	victim := v.met(2, "roof")
	v.handle(noon, dataplane.InitReceived{Origin: dataplane.Origin{Supernode: v.s.view, Handle: 66}, Packet: recorded})
	if r := victim.view.Route(); victim.handles[0] != 2 || r.Handle != 2 || v.peers.byHandle[0][66] != nil {
		t.Errorf("frames for the victim go to the handle %d", r.Handle)
	}
}

// A session is confirmed by its first packet: what its INIT said counts then, and the
// handle if both came by it.
func TestConfirmedINIT(t *testing.T) {
	for _, c := range []struct {
		by   uint32 // the handle of the first packet; that of the INIT is 40
		want uint32
	}{{40, 40}, {41, 0}} {
		v := registered(t, rolled)
		psk, _ := v.keys.PSK(noon, 8)
		from := dataplane.Origin{Supernode: v.s.view, Handle: 40}
		v.handle(noon, dataplane.InitReceived{Origin: from, Packet: v.initOf(testIdentity(9), 8, psk, noon)})
		p := v.peers.byStatic[testIdentity(9).Static]
		if p == nil || p.sessions.next == nil {
			t.Fatal("no session waits to be confirmed")
		}
		from.Handle = c.by
		v.handle(noon, dataplane.Confirmed{Peer: p.view, Session: p.sessions.next.Crypto(), Origin: from})
		if p.place.unconfirmed || p.sessions.current == nil || p.handles[0] != c.want || v.keys.sendingIndex() != 8 && v.keys.coming.KI() != 8 {
			t.Errorf("by %d: unconfirmed %v, handle %d, sending under %d", c.by, p.place.unconfirmed, p.handles[0], v.keys.sendingIndex())
		}
		if p.sessions.claimed != protocol.MAC(testIdentity(9).MAC(v.self.cid)) {
			t.Error("what it says its address is was forgotten")
		}
	}
}

// unusual returns the n-th of many identities that one member has made.
func unusual(n int) *crypto.Identity {
	seed := [32]byte{0xad}
	binary.BigEndian.PutUint32(seed[4:], uint32(n))
	return crypto.NewIdentity(seed)
}

// A member sends INITs of many keys that it never confirms, from one address and from
// many. They take a bounded number of places, none of a peer that is known otherwise, and
// an honest newcomer's from elsewhere stays until it is confirmed.
func TestUnconfirmedAreBounded(t *testing.T) {
	for _, sources := range []int{1, 8} {
		v := registered(t, nil)
		psk, _ := v.keys.PSK(noon, 7)
		known := v.introduced(2)
		now := noon
		honest := netip.MustParseAddrPort("198.51.100.99:4000")
		v.handle(now, dataplane.InitReceived{Origin: dataplane.Origin{Addr: honest}, Packet: v.initOf(testIdentity(3), 7, psk, now)})
		for n := range 800 {
			if n%64 == 0 {
				now = now.Add(500 * time.Millisecond) // within the rates of a source
			}
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + n%sources)}), uint16(1024+n))
			v.handle(now, dataplane.InitReceived{Origin: dataplane.Origin{Addr: from}, Packet: v.initOf(unusual(n), 7, psk, now)})
			if len(v.peers.half) > maxUnconfirmed || len(v.peers.byStatic) > maxUnconfirmed+1 {
				t.Fatalf("%d peers, %d unconfirmed", len(v.peers.byStatic), len(v.peers.half))
			}
		}
		if sources == 1 && len(v.peers.half) > maxUnconfirmedPerSource+1 {
			t.Errorf("%d places of one source", len(v.peers.half))
		}
		if v.peers.byStatic[known.view.Static()] != known {
			t.Error("a known peer has gone")
		}
		p := v.peers.byStatic[testIdentity(3).Static]
		if p == nil || p.sessions.next == nil {
			t.Fatalf("%d sources: the honest newcomer has lost its place", sources)
		}
		v.handle(now, dataplane.Confirmed{Peer: p.view, Session: p.sessions.next.Crypto(), Origin: dataplane.Origin{Addr: honest}})
		if p.place.unconfirmed || p.sessions.sealing() == nil {
			t.Error("it was not confirmed")
		}
		v.pass(now.Add(confirmWithin))
		if len(v.peers.half) != 0 || len(v.peers.byStatic) != 2 {
			t.Errorf("%d unconfirmed and %d peers are left", len(v.peers.half), len(v.peers.byStatic))
		}
	}
}

// A member that confirms a session with each of thousands of keys fills the book with
// them; the next newcomer from elsewhere has a place all the same, and those who had one
// keep it.
func TestBookIsShared(t *testing.T) {
	e := newEdge(t, nil)
	old := e.met(2, "roof")
	old.place.source = netip.MustParseAddr("198.51.100.2")
	greedy := netip.MustParseAddr("203.0.113.66")
	for n := 1; n < maxPeers; n++ {
		p := e.peers.meet(noon, [32]byte{0xad, byte(n), byte(n >> 8)})
		p.place.source = greedy
		e.promote(p, e.session(p, noon, uint32(1000+n), false))
	}
	p := e.peers.meet(noon, testIdentity(3).Static)
	if p == nil || len(e.peers.byStatic) != maxPeers {
		t.Fatalf("no place for a newcomer: %d peers", len(e.peers.byStatic))
	}
	e.settle(noon)
	e.consistent()
	if old.gone || e.peers.byStatic[old.view.Static()] != old {
		t.Error("somebody from elsewhere had to go")
	}
}

// answer answers an INIT that a peer has sent, as far as it is known.
func (e *testEdge) answer(p *peer, index uint32) {
	p.sessions.answer(noon, e.session(p, noon, index, false), e.data.draft)
	e.peers.mark(p)
}

// A member with a /64 of IPv6 makes an INIT from each of a thousand of its addresses: it is
// one source, and takes the place of no newcomer.
func TestUnconfirmedOfOneNetwork(t *testing.T) {
	e := newEdge(t, nil)
	open := func(static byte, n int, from netip.Addr) *peer {
		p := e.peers.opened(noon, [32]byte{static, byte(n), byte(n >> 8)}, handshake.Source{Rate: from})
		e.answer(p, uint32(int(static)<<16+n))
		return p
	}
	honest := open(1, 0, netip.MustParseAddr("2001:db8:1::1"))
	zoned := open(3, 0, netip.MustParseAddr("fe80::1%eth0"))
	for n := range 1000 {
		from := netip.MustParseAddr("2001:db8:2::").As16()
		binary.BigEndian.PutUint64(from[8:], uint64(n)<<32+1)
		open(2, n, netip.AddrFrom16(from))
		if len(e.peers.half) > maxUnconfirmedPerSource+2 {
			t.Fatalf("%d places after %d INITs", len(e.peers.half), n+1)
		}
	}
	e.settle(noon)
	e.consistent()
	if honest.gone || zoned.gone {
		t.Error("a newcomer from elsewhere has lost its place")
	}
}

// What is known by an unconfirmed INIT alone is forgotten when the machine was restored:
// nobody is greeted because somebody has named him.
func TestUnconfirmedAfterAFork(t *testing.T) {
	e := newEdge(t, nil)
	p := e.peers.opened(noon, [32]byte{1}, handshake.Source{Rate: netip.MustParseAddr("198.51.100.9")})
	e.answer(p, 1)
	e.settle(noon)
	e.consistent()
	renewEverything(e.Edge, noon)
	e.settle(noon)
	e.consistent()
	if !p.gone || len(e.peers.half) != 0 || len(e.sessions.pending) != 0 {
		t.Errorf("gone %v, %d unconfirmed, %d INITs", p.gone, len(e.peers.half), len(e.sessions.pending))
	}
}
