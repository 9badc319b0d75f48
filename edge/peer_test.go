package edge

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// checkHeap fails unless every peer knows its place and none is before its
// parent.
func checkHeap(t *testing.T, b *peerBook) {
	t.Helper()
	for i, p := range b.queue {
		if p.slot != i {
			t.Fatalf("the peer at %d thinks that it is at %d", i, p.slot)
		}
		if parent := b.queue[(i-1)/2]; p.deadline.Before(parent.deadline) {
			t.Fatalf("the peer at %d is due before its parent", i)
		}
	}
}

// TestPeerQueue changes deadlines and removes peers at random, and takes the
// rest out in order.
func TestPeerQueue(t *testing.T) {
	b, random := newPeerBook(), rand.New(rand.NewPCG(3, 4))
	at := func() time.Time { return noon.Add(time.Duration(random.Int64N(1000))) }
	for range 200 {
		heap.Push(b, &peer{deadline: at()})
		checkHeap(t, b)
	}
	for range 500 {
		p := b.queue[random.IntN(b.Len())]
		if random.IntN(5) == 0 {
			heap.Remove(b, p.slot)
		} else {
			p.deadline = at()
			heap.Fix(b, p.slot)
		}
		checkHeap(t, b)
	}
	left := b.Len()
	if left == 0 || left >= 200 {
		t.Fatalf("%d peers are left", left)
	}
	last := time.Time{}
	for ; left > 0; left-- {
		p := heap.Pop(b).(*peer)
		if p.deadline.Before(last) {
			t.Fatalf("%v after %v", p.deadline, last)
		}
		last = p.deadline
		checkHeap(t, b)
	}
}

// TestMeetAndForget checks that a peer that is forgotten is found nowhere.
func TestMeetAndForget(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	if again := e.meet(noon, p.view.Static()); again != p {
		t.Error("the same key is two peers")
	}
	e.setHandle(noon, p, e.links[0], 77)
	e.initiate(noon, p)
	if len(e.peers.pending) != 1 || e.peers.byHandle[0][77] != p || e.peers.byMAC[p.view.MAC()] != p {
		t.Fatalf("%+v", e.peers)
	}
	e.forget(noon, p)
	b := e.peers
	if n := len(b.byStatic) + len(b.byMAC) + len(b.byView) + len(b.byHandle[0]) + len(b.pending) + len(b.queue); n != 0 || !p.view.Retired() {
		t.Errorf("%d traces are left: %+v", n, b)
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
		p := e.meet(noon.Add(time.Duration(n)), key(n))
		p.sessions.current = new(dataplane.Session)
	}
	if e.meet(noon, key(maxPeers)) != nil {
		t.Error("a full book took another peer")
	}
	for _, n := range []int{7, 5, 9} {
		e.peers.byStatic[key(n)].sessions = sessions{}
	}
	for _, n := range []int{5, 7, 9} {
		if e.peers.byStatic[key(n)] == nil || e.meet(noon.Add(time.Hour), key(10000+n)) == nil {
			t.Fatalf("no room at %d", n)
		}
		if e.peers.byStatic[key(n)] != nil {
			t.Errorf("peer %d was to go", n)
		}
		e.peers.byStatic[key(10000+n)].sessions.current = new(dataplane.Session)
	}
	if len(e.peers.byStatic) != maxPeers || len(e.peers.queue) != maxPeers {
		t.Errorf("%d peers, %d in the queue", len(e.peers.byStatic), len(e.peers.queue))
	}
	checkHeap(t, e.peers)
}

// TestPeerIsForgotten holds how long a peer is kept that nobody speaks of, while a
// supernode could tell of it again.
func TestPeerIsForgotten(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.tickPeers(noon)
	for day := range 3 {
		e.tickPeers(noon.Add(time.Duration(day) * 24 * time.Hour))
	}
	if e.peers.byStatic[p.view.Static()] == nil {
		t.Error("forgotten without a supernode")
	}
	e.links[0].reg.done, p.seen = true, noon
	e.wake(p)
	e.tickPeers(noon.Add(peerForget - 1))
	if e.peers.byStatic[p.view.Static()] == nil {
		t.Error("forgotten too early")
	}
	e.tickPeers(noon.Add(peerForget))
	if len(e.peers.byStatic) != 0 {
		t.Error("not forgotten")
	}
}

// TestViewFollowsStatement has the statement of a peer come when there are
// sessions and staged frames already: they move to the view with its address,
// and a session that waits to be confirmed is told of again.
func TestViewFollowsStatement(t *testing.T) {
	e := newEdge(t, nil)
	id := testIdentity(2)
	p := e.meet(noon, id.Static)
	blank := p.view
	p.sessions.promote(e.session(p, noon, 10, true))
	p.sessions.current.Confirm()
	p.sessions.next = e.session(p, noon, 20, false)
	p.sessions.next.Confirm()
	e.staged.add(noon, blank, []byte("frame"), e.drops)
	st, raw := e.sign(id, id.MAC(e.cid), 1)
	e.learnStatement(p, st, raw, 0)
	e.publish(noon)

	if p.view == blank || p.view.MAC() != protocol.MAC(id.MAC(e.cid)) || !p.id.bound {
		t.Fatalf("view %+v", p.view)
	}
	for index, confirmed := range map[uint32]bool{10: true, 20: false} {
		entry := e.draft.Session(index)
		if entry == nil || entry.Peer() != p.view || entry.Confirmed() != confirmed {
			t.Errorf("session %d: %+v", index, entry)
		}
	}
	if got := e.staged.take(p.view); len(got) != 1 {
		t.Errorf("%d staged frames", len(got))
	}
	// What was told before the change still counts.
	e.handleEvent(noon, dataplane.Confirmed{Peer: blank, Session: p.sessions.next.Crypto()})
	if p.sessions.current.Crypto().LocalIndex() != 20 {
		t.Error("the session was not confirmed")
	}
	if e.learnStatement(p, st, raw, 0) {
		t.Error("the same statement is a restart")
	}
	if older, raw := e.sign(id, id.MAC(e.cid), 0); e.learnStatement(p, older, raw, 0) || p.id.statement.Seq != 1 {
		t.Error("an older statement was taken")
	}
	if newer, raw := e.sign(id, id.MAC(e.cid), 2); !e.learnStatement(p, newer, raw, 0) {
		t.Error("a newer statement is no restart")
	}
}

// TestBind checks whose a hardware address is when two peers have it.
func TestBind(t *testing.T) {
	e := newEdge(t, nil)
	claim := func(n byte, mac protocol.MAC) *peer {
		id := testIdentity(n)
		p := e.meet(noon, id.Static)
		st, raw := e.sign(id, mac, 1)
		e.learnStatement(p, st, raw, 0)
		return p
	}
	for _, mac := range []protocol.MAC{e.plane.Self(), {}, protocol.Broadcast, {0x01, 0, 0x5e, 0, 0, 1}} {
		if claim(2, mac).id.bound {
			t.Errorf("bound to %v", mac)
		}
	}
	thief := claim(3, testIdentity(4).MAC(e.cid))
	if !thief.id.bound {
		t.Error("an address that nobody has was not given")
	}
	owner := claim(4, testIdentity(4).MAC(e.cid))
	if !owner.id.bound || thief.id.bound || e.peers.byMAC[owner.view.MAC()] != owner {
		t.Error("a derived address is not its identity's")
	}
	if claim(5, owner.view.MAC()).id.bound {
		t.Error("a derived address was taken away")
	}
	first, second := claim(6, host(9)), claim(7, host(9))
	if !first.id.bound || second.id.bound {
		t.Error("the first one does not keep its address")
	}
}
