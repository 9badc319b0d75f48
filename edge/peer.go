package edge

import (
	"container/heap"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// Bounds of what an edge keeps about others (PROTOCOL.md, section 10).
const (
	maxPeers    = 4096
	maxLinks    = 8
	peerForget  = 10 * time.Minute // without a session, a use or a word from a supernode
	inUse       = 15 * time.Second // frames within this time make a peer active
	relayPingIn = 5 * time.Second  // between pings through the relay while active

	relayPingFirst = 250 * time.Millisecond // after a session began
	relayPingRetry = time.Second            // after a ping without an answer
	relayPingsLost = 3                      // then the session is taken for one-sided
	tickFloor      = 10 * time.Millisecond
)

// peer is another edge as the control loop knows it.
type peer struct {
	view     *dataplane.Peer
	formerly *dataplane.Peer // the view before; nil: none
	id       identity
	about    protocol.About

	handles [maxLinks]uint32 // by supernode; 0: unknown there
	seen    time.Time        // when a supernode or the peer itself last spoke of it

	askAt time.Time // when to ask for its statement again; zero: it is known, or nobody can tell

	sessions  sessions
	handshake handshake
	ways
	announced announced
	recalled  bool // from the state file, and not greeted through a relay yet

	slot     int // in the peer book's heap
	deadline time.Time
}

// ways are how a peer may be reached.
type ways struct {
	path      *path.Machine // nil without a session
	since     time.Time     // when the way of the route became what it is; zero: there was none yet
	relayPing pingOut       // measures the relayed path
	relayLoss path.Loss     // of those pings
	quality   quality       // of the direct path
	relaySize relaySize
	call      call
	without   time.Time // since when there is traffic without a direct path; zero: not so
	fan       fan
	lan       netip.AddrPort // where it was met on a link that both share
	between   netip.AddrPort // stands for the way through another edge by which it was last heard
	forwards  bucket.Bucket  // for what it may have us hand on
}

// identity is what a peer proved about itself.
type identity struct {
	statement crypto.Statement
	raw       []byte // the statement as signed; nil while unknown
	features  uint32
	bound     bool // its hardware address is its own
}

// announced remembers what a person was told about a peer, so that they are
// told of changes only.
type announced struct {
	up, direct bool
}

// pingOut is a ping that waits for its pong.
type pingOut struct {
	nonce  [8]byte
	sent   time.Time
	next   time.Time
	rtt    time.Duration // smoothed; 0: not measured
	missed int           // in a row, without an answer
}

// peerBook holds every peer under the names by which it is found, and knows
// which one needs attention next.
type peerBook struct {
	byStatic map[[32]byte]*peer
	byMAC    map[protocol.MAC]*peer // bound ones
	byView   map[*dataplane.Peer]*peer
	byHandle [maxLinks]map[uint32]*peer
	pending  map[uint32]*peer // our INITs under way, by our index
	queue    []*peer          // a heap by deadline
}

func newPeerBook() *peerBook {
	b := &peerBook{
		byStatic: make(map[[32]byte]*peer), byMAC: make(map[protocol.MAC]*peer),
		byView: make(map[*dataplane.Peer]*peer), pending: make(map[uint32]*peer),
	}
	for i := range b.byHandle {
		b.byHandle[i] = make(map[uint32]*peer)
	}
	return b
}

// Len, Less, Swap, Push and Pop make a heap (container/heap) of the queue.
func (b *peerBook) Len() int           { return len(b.queue) }
func (b *peerBook) Less(i, j int) bool { return b.queue[i].deadline.Before(b.queue[j].deadline) }
func (b *peerBook) Swap(i, j int) {
	b.queue[i], b.queue[j] = b.queue[j], b.queue[i]
	b.queue[i].slot, b.queue[j].slot = i, j
}

// Push appends a *peer.
func (b *peerBook) Push(x any) {
	p := x.(*peer)
	p.slot = len(b.queue)
	b.queue = append(b.queue, p)
}

// Pop removes the last *peer.
func (b *peerBook) Pop() any {
	p := b.queue[len(b.queue)-1]
	b.queue = b.queue[:len(b.queue)-1]
	return p
}

// meet returns the peer with a static key, made if need be. It returns nil
// when the book is full.
func (e *Edge) meet(now time.Time, static [32]byte) *peer {
	if p := e.peers.byStatic[static]; p != nil {
		return p
	}
	if len(e.peers.byStatic) >= maxPeers && !e.forgetOne(now) {
		return nil
	}
	p := &peer{view: dataplane.NewPeer(static, protocol.MAC{}), seen: now, deadline: now.Add(peerForget)}
	b := e.peers
	b.byStatic[static], b.byView[p.view] = p, p
	heap.Push(b, p)
	e.dirty = true
	return p
}

// forgetOne makes room by forgetting the peer that was quiet for longest and
// has no session. It reports whether there was one.
func (e *Edge) forgetOne(now time.Time) bool {
	var oldest *peer
	for _, p := range e.peers.byStatic {
		if p.sessions.none() && !p.handshake.active && (oldest == nil || p.seen.Before(oldest.seen)) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	e.forget(now, oldest)
	return true
}

// forget removes a peer from everything.
func (e *Edge) forget(now time.Time, p *peer) {
	b := e.peers
	e.announceDown(now, p)
	delete(b.byStatic, p.view.Static())
	delete(b.byView, p.view)
	delete(b.byView, p.formerly)
	if p.id.bound {
		delete(b.byMAC, p.view.MAC())
	}
	for i, h := range p.handles {
		if b.byHandle[i][h] == p {
			delete(b.byHandle[i], h)
		}
	}
	delete(b.pending, p.handshake.index)
	heap.Remove(b, p.slot)
	p.path = nil
	e.trimFan(p)
	e.plane.Retire(p.view)
	e.dirty = true
}

// setHandle notes by which handle a supernode knows a peer; 0 takes it back.
func (e *Edge) setHandle(now time.Time, p *peer, l *link, handle uint32) {
	i := l.view.ID()
	if p.handles[i] == handle {
		return
	}
	if old := p.handles[i]; old != 0 && e.peers.byHandle[i][old] == p {
		delete(e.peers.byHandle[i], old)
	}
	p.handles[i] = handle
	if handle != 0 {
		e.peers.byHandle[i][handle] = p
	}
	e.reroute(now, p)
}

// learnStatement takes over a peer's verified statement. It reports whether
// the peer started anew since the one we had.
func (e *Edge) learnStatement(p *peer, st crypto.Statement, raw []byte, features uint32) (restarted bool) {
	had := p.id.raw != nil
	if had && st.Seq < p.id.statement.Seq {
		return false
	}
	restarted = had && st.Seq > p.id.statement.Seq
	p.id.features = features
	p.id.raw, p.id.statement = append([]byte(nil), raw...), st
	if p.view.MAC() != protocol.MAC(st.MAC) {
		e.unbind(p)
		// The data goroutines read mac without a lock: a peer with another
		// address gets another view.
		e.replaceView(p, protocol.MAC(st.MAC))
	}
	e.bind(p)
	return restarted
}

// replaceView gives a peer a view with another hardware address. Its sessions
// and staged frames go with it. What the data goroutines have told under the
// old view and not yet been heard for is still the peer's.
func (e *Edge) replaceView(p *peer, mac protocol.MAC) {
	v := dataplane.NewPeer(p.view.Static(), mac)
	v.SetRoute(p.view.Route())
	e.plane.Retire(p.view)
	delete(e.peers.byView, p.formerly)
	e.peers.byView[v] = p
	p.sessions.move(v)
	e.staged.move(p.view, v)
	p.formerly, p.view = p.view, v
	e.dirty = true
}

// bind gives a peer its hardware address once its statement is known, unless
// the address is pinned to another identity or is another peer's.
func (e *Edge) bind(p *peer) {
	if p.id.bound || p.id.raw == nil {
		return
	}
	mac := p.view.MAC()
	if mac == e.plane.Self() || mac.IsGroup() || mac.IsZero() {
		e.drops.Drop(dataplane.DropPinned)
		return
	}
	if !e.pins.allow(mac, p.id.statement.ID, e.keys.community) {
		e.drops.Drop(dataplane.DropPinned)
		return
	}
	if holder := e.peers.byMAC[mac]; holder != nil && holder != p {
		if !e.yields(holder, p) {
			e.drops.Drop(dataplane.DropPinned)
			return
		}
		e.unbind(holder)
	}
	if p.sessions.current != nil {
		e.pins.keep(mac, p.id.statement.ID, e.keys.community)
	}
	p.id.bound = true
	e.peers.byMAC[mac] = p
	e.dirty = true
}

// yields reports whether the holder of a hardware address gives it to p: to
// the same identity's newer process, and to the identity that the address
// follows from.
func (e *Edge) yields(holder, p *peer) bool {
	mac := p.view.MAC()
	return holder.id.statement.ID == p.id.statement.ID ||
		e.pins.derived(mac, p.id.statement.ID) && !e.pins.derived(mac, holder.id.statement.ID)
}

func (e *Edge) unbind(p *peer) {
	if !p.id.bound {
		return
	}
	p.id.bound = false
	delete(e.peers.byMAC, p.view.MAC())
	e.dirty = true
}

// active reports whether frames went to or came from the peer lately.
func (e *Edge) active(now time.Time, p *peer) bool {
	used := p.view.Used()
	return used != 0 && e.plane.Since(now)-used < int64(inUse)
}

// heardAt returns when a packet of the peer last authenticated; zero: never.
func (e *Edge) heardAt(p *peer) time.Time {
	ns := p.view.Heard()
	if ns == 0 {
		return time.Time{}
	}
	return e.plane.Started().Add(time.Duration(ns))
}

// wake recomputes when a peer needs attention next.
func (e *Edge) wake(p *peer) {
	d := p.seen.Add(peerForget)
	if !p.sessions.none() {
		d = p.sessions.deadline()
	}
	if p.handshake.active {
		d = earliest(d, p.handshake.retry)
	}
	d = earliest(d, p.askAt)
	if p.sessions.sealing() != nil {
		d = earliest(earliest(d, p.relayPing.next), p.relaySize.mtu.Deadline())
		if p.path != nil {
			d = earliest(d, p.path.Deadline())
		}
	}
	p.deadline = d
	heap.Fix(e.peers, p.slot)
}

// tickPeers gives every peer whose time has come its attention.
func (e *Edge) tickPeers(now time.Time) {
	for len(e.peers.queue) > 0 {
		p := e.peers.queue[0]
		if now.Before(p.deadline) {
			return
		}
		e.tickPeer(now, p)
	}
}

func (e *Edge) tickPeer(now time.Time, p *peer) {
	e.tickSessions(now, p)
	if p.handshake.active && due(now, p.handshake.retry) {
		e.retryInit(now, p)
	}
	e.pollPath(now, p)
	if due(now, p.askAt) {
		e.askAgain(now, p)
	}
	if p.sessions.sealing() != nil && due(now, p.relayPing.next) {
		e.pingRelay(now, p)
	}
	e.pollRelaySize(now, p)
	if p.sessions.none() && !p.handshake.active && !now.Before(p.seen.Add(peerForget)) {
		if !e.alone() {
			e.forget(now, p)
			return
		}
		p.seen = now // nobody could tell us of it again
	}
	e.wake(p)
	if !p.deadline.After(now) {
		// Whatever could not be done now must not be tried in a circle.
		p.deadline = now.Add(tickFloor)
		heap.Fix(e.peers, p.slot)
	}
}
