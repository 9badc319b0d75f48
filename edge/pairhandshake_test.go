package edge

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// TestSourceOf checks that cookies and rates tell apart every path that an INIT
// can come by.
func TestSourceOf(t *testing.T) {
	e := newEdge(t, withTransports)
	sourceOf := e.sessions.sourceOf
	origins := []dataplane.Origin{
		{Addr: netip.MustParseAddrPort("192.0.2.1:4000")}, {Addr: netip.MustParseAddrPort("192.0.2.1:4001")},
		{Addr: netip.MustParseAddrPort("[2001:db8::1]:4000")},
		{Supernode: dataplane.NewSupernode(0), Handle: 1}, {Supernode: dataplane.NewSupernode(0), Handle: 2}, {Supernode: dataplane.NewSupernode(1), Handle: 1},
	}
	sources, addrs := make(map[string]int), make(map[netip.Addr]int)
	for i, o := range origins {
		if j, ok := sources[string(sourceOf(o).Cookie)]; ok {
			t.Errorf("origins %d and %d have one source", j, i)
		}
		sources[string(sourceOf(o).Cookie)] = i
		addrs[sourceOf(o).Rate] = i
	}
	if len(addrs) != len(origins)-1 { // two ports of one address share its rate
		t.Errorf("%d addresses", len(addrs))
	}
	for i, o := range origins[3:] {
		for _, other := range origins[3+i+1:] {
			a, b := sourceOf(o).Rate, sourceOf(other).Rate
			if p, _ := a.Prefix(48); p.Contains(b) {
				t.Errorf("handles %d and %d share a rate", o.Handle, other.Handle)
			}
		}
	}
	one, other := e.neighbour(2), e.neighbour(3)
	by := func(by *peer, to byte) netip.Addr {
		a := sourceOf(dataplane.Origin{Addr: e.paths.introducers.addrOf(noon, by, [32]byte{to})}).Rate
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	if by(one, 7) != by(one, 8) || by(one, 7) == by(other, 7) {
		t.Error("what an introducer forwards has not a rate of its own")
	}
}

// another changes a configuration to that of another edge of the community.
func another(n byte) func(*Config) {
	return func(c *Config) {
		c.Identity, c.Name = testIdentity(n), "another"
		c.Queues[0].Conn.(*memoryConn).addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 4000)
	}
}

// carry hands what an edge sent to another one's address to that one, as its queues
// would, and returns how many packets there were of each type.
func carry(now time.Time, from, to *testEdge) map[protocol.Type]int {
	scratch, seen := crypto.NewScratch(), make(map[protocol.Type]int)
	for _, d := range from.sentNow() {
		if d.to != to.conn.addr || !to.data.plane.Mask().Show(scratch, d.pkt) {
			continue
		}
		h, err := protocol.ParseHeader(d.pkt)
		if err != nil {
			continue
		}
		seen[h.Type]++
		origin := dataplane.Origin{Addr: from.conn.addr}
		switch h.Type {
		case protocol.TypeInit:
			to.handle(now, dataplane.InitReceived{Origin: origin, Packet: d.pkt})
		case protocol.TypeData:
			session := to.data.draft.Session(h.RX)
			if session == nil {
				continue
			}
			inner, err := session.Crypto().Open(scratch, d.pkt)
			if err != nil {
				continue
			}
			if in, err := protocol.ParseInner(inner); err == nil && in.Kind == protocol.KindControl {
				session.Peer().SetHeard(to.data.plane.Since(now))
				to.handle(now, dataplane.PairMessages{Peer: session.Peer(), Session: session.Crypto(), Origin: origin, Messages: in.Body})
			}
		default:
			to.handle(now, dataplane.HandshakeAnswer{Origin: origin, Packet: d.pkt})
		}
	}
	return seen
}

// meetOnLAN makes a session between two edges that meet on a LAN.
func meetOnLAN(t *testing.T) (a, b *testEdge, toB, toA *peer) {
	t.Helper()
	a, b = newEdge(t, nil), newEdge(t, another(7))
	if !(*networkObserver)(a.Edge).MetOnLAN(noon, b.self.statement, b.conn.addr) {
		t.Fatal("not a newcomer")
	}
	a.settle(noon)
	for range 3 {
		carry(noon, a, b)
		carry(noon, b, a)
	}
	(*networkObserver)(b.Edge).MetOnLAN(noon, a.self.statement, a.conn.addr) // it was announced to as a newcomer
	b.settle(noon)
	toB, toA = a.peers.byStatic[b.self.identity.Static], b.peers.byStatic[a.self.identity.Static]
	if toB == nil || toA == nil || toB.sessions.sealing() == nil || toA.sessions.sealing() == nil {
		t.Fatalf("no session: %v and %v", a.drops(), b.drops())
	}
	return a, b, toB, toA
}

// TestPairHandshake follows two edges that meet on a LAN to a session and to a
// direct path, and to the good-bye.
func TestPairHandshake(t *testing.T) {
	a, b, toB, toA := meetOnLAN(t)
	if toA.sessions.next != nil {
		t.Error("the session was not confirmed")
	}
	if (*networkObserver)(a.Edge).MetOnLAN(noon, b.self.statement, b.conn.addr) {
		t.Error("a newcomer twice")
	}
	if len(a.sessions.pending) != 0 || len(b.sessions.pending) != 0 {
		t.Error("an INIT is still waited for")
	}
	now := noon
	for range 80 {
		now = now.Add(50 * time.Millisecond)
		a.pass(now)
		b.pass(now)
		carry(now, a, b)
		carry(now, b, a)
		if err := errors.Join(verify(a.Edge, now), verify(b.Edge, now)); err != nil {
			t.Fatal(err)
		}
	}
	if r := toB.view.Route(); r.Direct != b.conn.addr {
		t.Errorf("no direct path: %+v, %s", r, toB.reach.path.Why(now))
	}
	if len(a.told(control.EventPeerPath)) != 1 || len(b.told(control.EventPeerPath)) != 1 || a.user.describer.count(now).Direct != 1 {
		t.Errorf("told %v", a.reported)
	}
	salt := a.keys.group
	if !b.data.plane.Groups().Vouched(a.self.identity.Static, salt.KI(), salt.XF(), salt.Salt()) {
		t.Error("the salt of the first was not vouched for")
	}
	if toA.about.Name != "tested" || toB.about.Name != "another" {
		t.Errorf("they know each other as %q and %q", toA.about.Name, toB.about.Name)
	}
	a.sessions.goodbye()
	carry(now, a, b)
	if !toA.sessions.none() || toA.reach.path != nil || len(b.told(control.EventPeerGone)) != 1 {
		t.Error("the good-bye was not heard")
	}
	b.sessions.closed(toA) // once more changes nothing
}

// A salt that follows another is vouched for in every session before it is used.
func TestVouch(t *testing.T) {
	a, b, _, _ := meetOnLAN(t)
	for range 3 {
		carry(noon, a, b)
		carry(noon, b, a)
	}
	a.keys.drawSalt(noon, false)
	coming := a.keys.coming
	a.settle(noon)
	carry(noon, a, b)
	if coming == nil || !b.data.plane.Groups().Vouched(a.self.identity.Static, coming.KI(), coming.XF(), coming.Salt()) {
		t.Error("the coming salt is not known")
	}
}

// Both begin at once: the INIT of the lower key stands, and there is one session.
func TestCrossingInits(t *testing.T) {
	a, b := newEdge(t, nil), newEdge(t, another(7))
	(*networkObserver)(a.Edge).MetOnLAN(noon, b.self.statement, b.conn.addr)
	(*networkObserver)(b.Edge).MetOnLAN(noon, a.self.statement, a.conn.addr)
	a.settle(noon)
	b.settle(noon)
	toA, toB := b.conn.take(), a.conn.take()
	a.conn.sent, b.conn.sent = toB, toA
	first := a.conn.sent
	a.conn.sent = nil
	carry(noon, b, a)
	answers := a.conn.take()
	a.conn.sent = append(first, answers...)
	for range 6 {
		carry(noon, a, b)
		carry(noon, b, a)
	}
	if n := a.drops()["handshake-simultaneous"] + b.drops()["handshake-simultaneous"]; n != 1 {
		t.Errorf("%d INITs stood: %v %v", n, a.drops(), b.drops())
	}
	p, q := a.peers.byStatic[b.self.identity.Static], b.peers.byStatic[a.self.identity.Static]
	if p.sessions.sealing() == nil || q.sessions.sealing() == nil || p.sessions.sealing().LocalIndex() != q.sessions.sealing().RemoteIndex() {
		t.Errorf("not one session")
	}
}

// An INIT under an epoch that is not received here is answered by a NOTICE, of which
// an initiator that has no other epoch can make nothing.
func TestInitUnderAnotherEpoch(t *testing.T) {
	a := newEdge(t, func(c *Config) { c.Community.Epochs[0].Index = 9 })
	b := newEdge(t, another(7))
	(*networkObserver)(a.Edge).MetOnLAN(noon, b.self.statement, b.conn.addr)
	a.settle(noon)
	carry(noon, a, b)
	if seen := carry(noon, b, a); seen[protocol.TypeNotice] != 1 || b.drops()["handshake-unknown-epoch"] != 1 {
		t.Errorf("answers %v, counted %v", seen, b.drops())
	}
	if a.drops()["handshake-notice-unusable"] != 1 {
		t.Errorf("counted %v", a.drops())
	}
}

// fakeInits notes the INITs that go through introducers.
type fakeInits struct{ attempts []int }

func (f *fakeInits) sendInit(_ time.Time, _ *peer, attempt int, _ []byte) {
	f.attempts = append(f.attempts, attempt)
}
func (f *fakeInits) introducerOf(netip.AddrPort) (static [32]byte, ok bool) { return static, false }
func (f *fakeInits) routeTo(*peer) *dataplane.Route                         { return nil }

// Sessions tell the keeper of paths when one begins, is restarted and ends, and hand
// each attempt to whoever carries INITs; without an answer they give up.
func TestSessionsAlone(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	paths, inits := new(pathNotes), new(fakeInits)
	e.sessions.routing, e.sessions.inits = paths, inits
	e.sessions.began(noon, p, e.session(p, noon, 1, true), dataplane.Origin{Addr: elsewhere})
	if *paths != (pathNotes{started: 1, heardFrom: 1}) {
		t.Errorf("at the beginning: %+v", *paths)
	}
	e.sessions.restart(noon, p)
	e.sessions.begin(noon, p)
	if paths.restarts != 1 || p.sessions.sealing() != nil || len(inits.attempts) != 1 {
		t.Errorf("at the restart: %+v, %v", *paths, inits.attempts)
	}
	for !p.sessions.init.retry.At().IsZero() || p.sessions.init.active() {
		e.sessions.schedule(p)
		at := p.sessions.init.retry.At()
		if at.IsZero() || at.After(noon.Add(handshake.GiveUpAfter)) {
			break
		}
		e.sessions.tick(at)
	}
	if p.sessions.init.active() || e.drops()["handshake-given-up"] != 1 || len(inits.attempts) < 15 || inits.attempts[3] != 4 {
		t.Errorf("attempts %v, counted %v", inits.attempts, e.drops())
	}
	e.sessions.closed(p)
	if paths.stopped != 1 || !p.sessions.none() {
		t.Errorf("at the end: %+v", *paths)
	}
}

// pathNotes counts what a keeper of paths is told.
type pathNotes struct{ started, stopped, heardFrom, restarts int }

func (f *pathNotes) start(time.Time, *peer)                   { f.started++ }
func (f *pathNotes) stop(*peer)                               { f.stopped++ }
func (f *pathNotes) heard(time.Time, *peer, dataplane.Origin) { f.heardFrom++ }
func (f *pathNotes) restarted(time.Time, *peer)               { f.restarts++ }
func (f *pathNotes) mayReach(time.Time, *peer, netip.AddrPort, int) bool {
	return true
}
