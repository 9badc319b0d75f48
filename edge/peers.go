package edge

import (
	"cmp"
	"net/netip"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Bounds of what an edge keeps about others.
const (
	maxPeers    = 4096
	sourceShare = 256              // peers with sessions that came from one source and are never forgotten for others
	peerForget  = 10 * time.Minute // without a session, a use or a word from a supernode
	inUse       = 15 * time.Second // frames within this time make a peer active
)

// peers is the owner of who is known: the book of peers under all the names by
// which they are found, their identities, and whose a hardware address is. It
// also knows which peers changed since the loop settled last.
type peers struct {
	byStatic map[[32]byte]*peer
	byMAC    map[protocol.MAC]*peer // bound ones
	byView   map[*dataplane.Peer]*peer
	byHandle [maxSupernodes]map[uint32]*peer
	half     []*peer // known by an unconfirmed INIT alone, the oldest first
	changed  []*peer // the loop settles them next, in this order

	self       protocol.MAC
	pins       pins
	keys       *keyring
	supernodes supernodes
	plane      *dataplane.Plane
	draft      *dataplane.Draft
	refusals   *refusals
	prepare    func(p *peer) // has every owner make its substate of a new peer
	timers     timer.Queue
}

// open gives the book its empty maps.
func (b *peers) open() {
	b.byStatic = make(map[[32]byte]*peer)
	b.byMAC = make(map[protocol.MAC]*peer)
	b.byView = make(map[*dataplane.Peer]*peer)
	for i := range b.byHandle {
		b.byHandle[i] = make(map[uint32]*peer)
	}
}

// met reports whether another member is known: whoever is has our key, so that it is
// the right one whatever a supernode says of others.
func (b *peers) met() bool { return len(b.byStatic) > 0 }

func (b *peers) deadline() time.Time { return b.timers.Next() }
func (b *peers) tick(now time.Time)  { b.timers.Run(now) }

// mark notes that something about a peer changed: the loop settles it before it
// sleeps. The functions that find a peer for an event mark it, so that no change can
// be forgotten.
func (b *peers) mark(p *peer) {
	if !p.changed {
		p.changed = true
		b.changed = append(b.changed, p)
	}
}

// markAll marks every peer: something changed that all of them depend on.
func (b *peers) markAll() {
	for _, p := range b.byStatic {
		b.mark(p)
	}
}

// nextChanged returns a peer that has to be settled and unmarks it, or nil.
func (b *peers) nextChanged() *peer {
	if len(b.changed) == 0 {
		b.changed = nil
		return nil
	}
	p := b.changed[0]
	b.changed[0], b.changed = nil, b.changed[1:]
	p.changed = false
	return p
}

// timer returns a timer in an owner's queue that marks a peer before it calls.
func (b *peers) timer(q *timer.Queue, name string, p *peer, call func(now time.Time, p *peer)) timer.Timer {
	return timer.New(q, name, func(now time.Time) {
		b.mark(p)
		call(now, p)
	})
}

// viewed returns the peer that the data plane knows by a view, marked, or nil.
func (b *peers) viewed(v *dataplane.Peer) *peer { return b.found(b.byView[v]) }

// handled returns the peer that a supernode knows by a handle, marked, or nil.
func (b *peers) handled(supernode int, handle uint32) *peer {
	return b.found(b.byHandle[supernode][handle])
}

func (b *peers) found(p *peer) *peer {
	if p != nil {
		b.mark(p)
	}
	return p
}

// meet returns the peer with a static key, marked, made if need be. It returns
// nil when the book is full.
func (b *peers) meet(now time.Time, static [32]byte) *peer {
	if p := b.found(b.byStatic[static]); p != nil {
		if !b.stay(p) {
			return nil
		}
		return p
	}
	if !b.makeRoom() {
		return nil
	}
	return b.enter(now, static)
}

// makeRoom reports whether there is room in the book for one more peer, and makes it if
// need be.
func (b *peers) makeRoom() bool {
	return len(b.byStatic)-len(b.half) < maxPeers || b.forgetOne()
}

// enter enters a new peer.
func (b *peers) enter(now time.Time, static [32]byte) *peer {
	p := &peer{view: dataplane.NewPeer(static, protocol.MAC{}), seen: now}
	p.forgetting = b.timer(&b.timers, "forget a peer", p, b.age)
	b.byStatic[static], b.byView[p.view] = p, p
	b.prepare(p)
	b.draft.SetStatic(p.view)
	b.mark(p)
	return p
}

// forgetOne makes room by forgetting a peer: the one that was quiet for longest and has
// no session, or else, of those that came from a source with more than its share, the
// one that was quiet for longest. So whoever makes many edges of one cannot keep others
// out. It reports whether there was one.
func (b *peers) forgetOne() bool {
	var idle, greedy *peer
	places := make(map[netip.Addr]int)
	for _, p := range b.byStatic {
		if p.place.source.IsValid() && !p.place.unconfirmed {
			places[p.place.source]++
		}
	}
	most := sourceShare
	for _, n := range places {
		most = max(most, n)
	}
	older := func(p, than *peer) bool { return than == nil || p.seen.Before(than.seen) }
	for _, p := range b.byStatic {
		switch {
		case p.place.unconfirmed:
		case p.sessions.idle() && older(p, idle):
			idle = p
		case places[p.place.source] == most && older(p, greedy):
			greedy = p
		}
	}
	p := cmp.Or(idle, greedy)
	if p == nil {
		return false
	}
	b.forget(p)
	return true
}

// forget removes a peer from everything that the book has. The other owners let
// go of it when it is settled.
func (b *peers) forget(p *peer) {
	b.leave(p)
	b.unbind(p)
	delete(b.byStatic, p.view.Static())
	delete(b.byView, p.view)
	delete(b.byView, p.former)
	for i := range p.handles {
		b.setHandle(p, i, 0)
	}
	b.draft.DropStatic(p.view.Static())
	b.plane.Retire(p.view)
	p.forgetting.Stop()
	p.gone = true
	b.mark(p)
}

// age forgets a peer without a session of which no supernode told for long,
// unless no supernode could tell of it again.
func (b *peers) age(now time.Time, p *peer) {
	switch {
	case !p.sessions.idle() || now.Before(p.seen.Add(peerForget)):
	case b.supernodes.registered():
		b.forget(p)
	default:
		p.seen = now
	}
}

// schedule registers when a peer may be forgotten.
func (b *peers) schedule(p *peer) {
	if p.sessions.idle() {
		p.forgetting.Set(p.seen.Add(peerForget))
	} else {
		p.forgetting.Stop()
	}
}

// setHandle notes by which handle a supernode knows a peer; 0: by none. A handle is
// one peer's: a supernode that names another one's has given that one another handle,
// or none.
func (b *peers) setHandle(p *peer, supernode int, handle uint32) {
	old := p.handles[supernode]
	if old == handle {
		return
	}
	if old != 0 && b.byHandle[supernode][old] == p {
		delete(b.byHandle[supernode], old)
	}
	p.handles[supernode] = handle
	if handle != 0 {
		if former := b.byHandle[supernode][handle]; former != nil {
			former.handles[supernode] = 0
			b.mark(former)
		}
		b.byHandle[supernode][handle] = p
	}
	b.mark(p)
}

// at reports whether a peer is at an address beyond doubt: frames go there, or it has
// answered from there within the last minute.
func (b *peers) at(now time.Time, a netip.AddrPort) bool {
	for _, p := range b.byStatic {
		if p.view.Route().Direct == a || p.reach.path != nil && p.reach.path.Remotes().Proven(now, a) {
			return true
		}
	}
	return false
}

// active reports whether frames went to or came from a peer lately. With a link they may
// at any time, and routing protocols want to know by what path; with a network behind the
// peer another edge may have to take over.
func (b *peers) active(now time.Time, p *peer) bool {
	if (p.place.linked || p.place.routed) && p.sessions.current != nil {
		return true
	}
	used := p.view.Used()
	return used != 0 && b.plane.Since(now)-used < int64(inUse)
}
