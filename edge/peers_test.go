package edge

import (
	"slices"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// TestMeetAndForget checks that a peer that is forgotten is found nowhere, and
// that no timer of it is left.
func TestMeetAndForget(t *testing.T) {
	e := newEdge(t, nil)
	timers := func() []int {
		return []int{e.sessions.timers.Len(), e.paths.routing.timers.Len(), e.peers.timers.Len(), e.servers.directory.timers.Len()}
	}
	before := timers()
	p := e.introduced(2)
	if again := e.peers.meet(noon, p.view.Static()); again != p {
		t.Error("the same key is two peers")
	}
	e.peers.setHandle(p, 0, 77)
	e.sessions.initiate(p)
	e.settle(noon)
	b := e.peers
	if len(e.sessions.pending) != 1 || b.byHandle[0][77] != p || b.byMAC[p.view.MAC()] != p {
		t.Fatalf("%+v", b)
	}
	b.forget(p)
	e.settle(noon)
	e.consistent()
	if n := len(b.byStatic) + len(b.byMAC) + len(b.byView) + len(b.byHandle[0]) + len(e.sessions.pending); n != 0 || !p.gone {
		t.Errorf("%d traces are left: %+v", n, b)
	}
	for i, n := range timers() {
		if n != before[i] {
			t.Errorf("%v timers are set, before there were %v", timers(), before)
			break
		}
	}
	for range e.data.draft.Statics() {
		t.Error("the queues know the peer")
	}
	for range e.data.draft.Bound() {
		t.Error("the queues know its hardware address")
	}
}

// TestBookIsBounded fills the book: the peer that was quiet for longest gives
// way, one with a session never does.
func TestBookIsBounded(t *testing.T) {
	e := newEdge(t, nil)
	key := func(n int) (k [32]byte) {
		mac := manyHosts(n)
		copy(k[:], mac[:])
		return k
	}
	for n := range maxPeers {
		p := e.peers.meet(noon.Add(time.Duration(n)), key(n))
		p.sessions.current = new(dataplane.Session)
	}
	if e.peers.meet(noon, key(maxPeers)) != nil {
		t.Error("a full book took another peer")
	}
	for _, n := range []int{7, 5, 9} {
		e.peers.byStatic[key(n)].sessions.current = nil
	}
	for _, n := range []int{5, 7, 9} {
		if e.peers.byStatic[key(n)] == nil || e.peers.meet(noon.Add(time.Hour), key(10000+n)) == nil {
			t.Fatalf("no room at %d", n)
		}
		if e.peers.byStatic[key(n)] != nil {
			t.Errorf("peer %d was to go", n)
		}
		e.peers.byStatic[key(10000+n)].sessions.current = new(dataplane.Session)
	}
	if len(e.peers.byStatic) != maxPeers || len(e.peers.byView) != maxPeers {
		t.Errorf("%d peers, %d views", len(e.peers.byStatic), len(e.peers.byView))
	}
}

// TestPeerIsForgotten holds how long a peer is kept that nobody speaks of, while a
// supernode could tell of it again.
func TestPeerIsForgotten(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.pass(noon)
	for day := range 3 {
		e.pass(noon.Add(time.Duration(day) * 24 * time.Hour))
	}
	if e.peers.byStatic[p.view.Static()] == nil {
		t.Error("forgotten without a supernode")
	}
	e.servers.list[0].grant.done, p.seen = true, noon
	e.peers.mark(p)
	e.settle(noon)
	if at := p.forgetting.At(); !at.Equal(noon.Add(peerForget)) {
		t.Errorf("looked at again at %v", at)
	}
	e.pass(noon.Add(peerForget - 1))
	if e.peers.byStatic[p.view.Static()] == nil {
		t.Error("forgotten too early")
	}
	e.pass(noon.Add(peerForget))
	if len(e.peers.byStatic) != 0 {
		t.Error("not forgotten")
	}
}

// A peer with a session, or whose session is being made, is not forgotten.
func TestPeerInUseIsKept(t *testing.T) {
	e := newEdge(t, nil)
	p, q := e.met(2, "roof"), e.introduced(3)
	e.servers.list[0].grant.done = true
	e.sessions.initiate(q)
	e.settle(noon)
	if p.forgetting.IsSet() || q.forgetting.IsSet() {
		t.Error("they may be forgotten")
	}
	e.peers.age(noon.Add(peerForget), p)
	e.peers.age(noon.Add(peerForget), q)
	if p.gone || q.gone {
		t.Error("they were forgotten")
	}
}

// TestViewFollowsStatement has the statement of a peer come when there are
// sessions and staged frames already: they move to the view with its address,
// and a session that waits to be confirmed is told of again.
func TestViewFollowsStatement(t *testing.T) {
	e := newEdge(t, nil)
	id := testIdentity(2)
	p := e.peers.meet(noon, id.Static)
	blank := p.view
	e.promote(p, e.session(p, noon, 10, true))
	p.sessions.current.Confirm()
	p.sessions.answer(noon, e.session(p, noon, 20, false), e.data.draft)
	p.sessions.next.Confirm()
	e.settle(noon)
	if !p.asking.IsSet() {
		t.Error("its statement is not asked for")
	}
	e.hop()
	e.peers.setHandle(p, 0, 77)
	e.sessions.staged.add(noon, p, ethernet(protocol.MAC(id.MAC(e.self.cid)), e.self.mac, protocol.EtherTypeIPv4, 46))
	st, raw := e.sign(id, id.MAC(e.self.cid), 1)
	e.peers.told(noon, p, st, raw)
	e.conn.take()
	e.settle(noon)
	e.consistent()

	if p.view == blank || p.view.MAC() != protocol.MAC(id.MAC(e.self.cid)) || !p.identity.bound {
		t.Fatalf("view %+v", p.view)
	}
	for index, confirmed := range map[uint32]bool{10: true, 20: false} {
		entry := e.data.draft.Session(index)
		if entry == nil || entry.Peer() != p.view || entry.Confirmed() != confirmed {
			t.Errorf("session %d: %+v", index, entry)
		}
	}
	// Its Ethernet header is left out, since the new view has its address.
	short := slices.ContainsFunc(e.conn.take(), func(d sentDatagram) bool {
		return len(d.pkt) == protocol.RelayOverhead+protocol.HeaderLen+1+46+protocol.TagLen
	})
	if !short || len(e.sessions.staged.frames) != 0 {
		t.Errorf("the staged frame has gone %v, %d wait", short, len(e.sessions.staged.frames))
	}
	// What was told before the change still counts.
	e.handle(noon, dataplane.Confirmed{Peer: blank, Session: p.sessions.next.Crypto()})
	if p.sessions.current.Crypto().LocalIndex() != 20 {
		t.Error("the session was not confirmed")
	}
	e.peers.prove(noon, p, st, raw)
	if e.settle(noon); p.asking.IsSet() {
		t.Error("its statement is still asked for")
	}
	if e.peers.told(noon, p, st, raw) != newsNone {
		t.Error("the same statement is a restart")
	}
	if older, raw := e.sign(id, id.MAC(e.self.cid), 0); e.peers.told(noon, p, older, raw) != newsNone || p.identity.statement.Seq != 1 {
		t.Error("an older statement was taken")
	}
	if newer, raw := e.sign(id, id.MAC(e.self.cid), 2); e.peers.told(noon, p, newer, raw) != newsRestarted {
		t.Error("a newer statement is no restart")
	}
}

// A peer that changes its hardware address twice is found under its latest view
// and the one before; events of older ones are those of somebody who is gone.
func TestViewReplacedTwice(t *testing.T) {
	e := newEdge(t, nil)
	p, id := e.introduced(2), testIdentity(2)
	views := []*dataplane.Peer{p.view}
	for n := range byte(2) {
		st, raw := e.sign(id, host(n+1), uint64(n)+2)
		e.peers.told(noon, p, st, raw)
		e.settle(noon)
		e.consistent()
		views = append(views, p.view)
	}
	for i, want := range []bool{false, true, true} {
		if got := e.peers.viewed(views[i]) == p; got != want {
			t.Errorf("view %d: found %v", i, got)
		}
	}
	e.settle(noon)
	if len(e.peers.byView) != 2 || len(e.peers.byMAC) != 1 || e.peers.byMAC[host(2)] != p {
		t.Errorf("%d views, addresses %v", len(e.peers.byView), e.peers.byMAC)
	}
	e.peers.forget(p)
	e.settle(noon)
	if len(e.peers.byView) != 0 {
		t.Error("a view outlives its peer")
	}
}

// TestBind checks whose a hardware address is when two peers have it.
func TestBind(t *testing.T) {
	e := newEdge(t, nil)
	claim := func(n byte, mac protocol.MAC) *peer {
		id := testIdentity(n)
		p := e.peers.meet(noon, id.Static)
		st, raw := e.sign(id, mac, 1)
		e.peers.told(noon, p, st, raw)
		return p
	}
	for _, mac := range []protocol.MAC{e.data.plane.Self(), {}, protocol.Broadcast, {0x01, 0, 0x5e, 0, 0, 1}} {
		if claim(2, mac).identity.bound {
			t.Errorf("bound to %v", mac)
		}
	}
	thief := claim(3, testIdentity(4).MAC(e.self.cid))
	if !thief.identity.bound {
		t.Error("an address that nobody has was not given")
	}
	owner := claim(4, testIdentity(4).MAC(e.self.cid))
	if !owner.identity.bound || thief.identity.bound || e.peers.byMAC[owner.view.MAC()] != owner {
		t.Error("a derived address is not its identity's")
	}
	if claim(5, owner.view.MAC()).identity.bound {
		t.Error("a derived address was taken away")
	}
	first, second := claim(6, host(9)), claim(7, host(9))
	if !first.identity.bound || second.identity.bound {
		t.Error("the first one does not keep its address")
	}
	// The same identity's newer process, which has another static key, takes its
	// address over.
	id := testIdentity(6)
	st := first.identity.statement
	st.Static, st.Seq = [32]byte{6, 6}, 2
	again := e.peers.meet(noon, st.Static)
	e.peers.told(noon, again, st, id.SignStatement(st))
	if !again.identity.bound || first.identity.bound {
		t.Error("a newer process of the same identity has not its address")
	}
}

// Events of a peer that was forgotten meanwhile change nothing, and are counted.
func TestEventsOfForgottenPeers(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	session := p.sessions.current.Crypto()
	e.peers.forget(p)
	e.settle(noon)
	e.consistent()
	e.conn.take()
	events := []dataplane.Event{
		dataplane.PairMessages{Peer: p.view, Session: session, Messages: (&protocol.Ping{Pad: protocol.MinPingPad}).Append(nil)},
		dataplane.Confirmed{Peer: p.view, Session: session},
		dataplane.Roamed{Peer: p.view, Origin: dataplane.Origin{Addr: elsewhere}},
		dataplane.Needed{Peer: p.view},
		dataplane.Staged{Peer: p.view, Frame: ethernet(p.view.MAC(), e.self.mac, 0x0806, 46)},
	}
	for _, ev := range events {
		e.handle(noon, ev)
	}
	if n := e.drops()["peer-gone"]; n != uint64(len(events)) {
		t.Errorf("counted %d", n)
	}
	if sent := e.sentNow(); len(sent) != 0 || len(e.peers.byStatic) != 0 || len(e.sessions.staged.frames) != 0 || len(e.sessions.pending) != 0 {
		t.Errorf("%d datagrams, %d peers, %d frames", len(sent), len(e.peers.byStatic), len(e.sessions.staged.frames))
	}
}
