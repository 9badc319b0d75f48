package lists

import (
	"net/netip"
	"time"

	"hedgerow/internal/network"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// sizeOf returns how many bytes count for a list.
func sizeOf(h *protocol.ListHead) int {
	return max(least, protocol.ListHeadLen+int(h.Count)*protocol.ListedLen)
}

// size returns how many bytes count for the list of a room, 0: it has none.
func (r *room) size() int {
	if r.list == nil {
		return 0
	}
	return sizeOf(&r.list.Head)
}

// brings takes from what a community, and the source of an edge, may bring, and reports whether
// it was as much. A session that is made anew has no more.
func (t *Table) brings(now time.Time, r *room, source netip.Addr) bool {
	k := float64(t.cfg.Sources(source))
	return r.news.Has(now, 1, newRate, newBurst) && t.sources.Take(now, source, sourceRate*k, sourceBurst*k) &&
		r.news.Take(now, 1, newRate, newBurst)
}

// collect has an edge bring the list that it names, if no other one brings it.
func (t *Table) collect(now time.Time, r *room, a *Applicant) (want *protocol.ListWant, v Verdict) {
	h := a.Claim.Head
	switch g := r.gather; {
	case !roster.Newer(h, r.coming()):
		return nil, Wanted // it has come, and is being checked
	case g != nil && !roster.Newer(h, g.of.Head()) && (g.tries < slowTries || g.from == a.Session):
		return nil, Wanted // it comes, or a newer one
	case !t.hasRoom(r, sizeOf(h)):
		return nil, Full
	case !t.brings(now, r, a.Source):
		return nil, Wanted
	}
	t.drop(t.coming[a.Session]) // of another community, or an older list
	of := roster.Gather(*h)
	if g := r.gather; g != nil && *g.of.Head() == *h {
		of = g.of // what has come from the one before stays
	}
	t.drop(r.gather)
	t.rooms[a.CID] = r
	g := &gathering{room: r, of: of, from: a.Session, source: a.Source, begun: now, weight: sizeOf(h)}
	r.gather, t.coming[a.Session] = g, g
	g.place = t.crowd.Add(a.Source, g)
	for t.weight += g.weight; t.weight > t.cfg.Size/gatherPart && t.crowd.Len() > 0; {
		t.drop(t.crowd.Yielding().Value)
	}
	if r.gather != g {
		return nil, Wanted
	}
	return t.ask(now, g, true), Wanted
}

// ask returns the next question to the edge that brings a list.
func (t *Table) ask(now time.Time, g *gathering, again bool) *protocol.ListWant {
	m := g.of.Want(again)
	g.due, g.packets = now.Add(pieceWait), 2*(len(m.Indices)+strayPackets)
	return &m
}

// drop has a list that comes, or has come and waits to be checked, come no more.
func (t *Table) drop(g *gathering) {
	if g == nil {
		return
	}
	r := g.room
	switch g {
	case r.gather:
		delete(t.coming, g.from)
		r.gather = nil
	case r.whole:
		r.whole = nil
	}
	g.waits.remove()
	t.crowd.Remove(g.place)
	t.weight -= g.weight
	t.settle(r)
}

// settle forgets a room without a list.
func (t *Table) settle(r *room) {
	if r.list == nil && r.gather == nil && r.whole == nil && r.doing == nil && !r.stale {
		delete(t.rooms, r.of.CID)
	}
}

// Expects reports whether a packet of a session may be a piece that was asked for. It counts
// as a packet, and the piece in it as another one.
func (t *Table) Expects(session uint32) bool {
	g := t.coming[session]
	if g == nil || g.packets == 0 {
		return false
	}
	g.packets--
	return true
}

// Part takes a piece of the edge that brings a list. want asks it for more; nil: nothing is
// asked. ok is false for a piece that was not asked for, or that is not of the list: its
// sender brings nothing any more.
func (t *Table) Part(now time.Time, session uint32, m *protocol.ListPart) (want *protocol.ListWant, ok bool) {
	if !t.Expects(session) {
		return nil, false
	}
	g := t.coming[session]
	news, err := g.of.Add(m)
	switch {
	case err != nil:
		t.drop(g)
		return nil, false
	case !news:
		return nil, true
	}
	g.tries = 0
	switch {
	case g.of.Whole():
		t.complete(g)
	case g.of.Answered():
		return t.ask(now, g, false), true
	}
	return nil, true
}

// complete has a list checked that has come whole. An older one that waits for that need not be.
func (t *Table) complete(g *gathering) {
	r, older := g.room, g.room.whole
	delete(t.coming, g.from)
	r.gather, r.whole, g.waits = nil, g, &task{room: r, came: g}
	t.drop(older)
	t.crowd.Confirm(g.place)
	t.jobs.add(g.source, g.waits)
	t.ring()
}

// limit returns how many bytes may be of a network.
func (t *Table) limit(k network.Key, source netip.Addr) int {
	return max(t.cfg.Size/sourcePart, roster.MaxSize) << k.Level() * t.cfg.Sources(source)
}

// crowded returns the network of a room whose share would be exceeded with so many bytes more.
func (t *Table) crowded(r *room, more int) (k network.Key, is bool) {
	for _, k := range network.Of(r.source) {
		if t.used[k]+more > t.limit(k, r.source) {
			return k, true
		}
	}
	return k, false
}

// hasRoom reports whether a list of so many bytes can be kept for a room, if others that
// nobody uses make room.
func (t *Table) hasRoom(r *room, size int) bool {
	more := size - r.charge
	if more <= 0 {
		return true
	}
	if k, is := t.crowded(r, more); is && t.idle.YieldingIn(k) == nil {
		return false
	}
	return t.size+more <= t.cfg.Size || t.idle.Len() > 0
}

// makeRoom makes room for so many bytes for a room, and reports whether there is.
func (t *Table) makeRoom(r *room, size int) bool {
	if r.place != nil { // not for itself
		t.idle.Remove(r.place)
		r.place = nil
	}
	defer t.rank(r)
	for more := size - r.charge; more > 0; {
		place := t.idle.Yielding()
		if k, is := t.crowded(r, more); is {
			place = t.idle.YieldingIn(k)
		} else if t.size+more <= t.cfg.Size {
			break
		}
		if place == nil {
			return false
		}
		t.forget(place.Value)
	}
	t.charge(r, size)
	return true
}

// charge counts so many bytes for a room.
func (t *Table) charge(r *room, size int) {
	t.size += size - r.charge
	for _, k := range network.Of(r.source) {
		if t.used[k] += size - r.charge; t.used[k] == 0 {
			delete(t.used, k)
		}
	}
	r.charge = size
}

// forget keeps the list of a room no longer.
func (t *Table) forget(r *room) {
	t.charge(r, 0)
	r.list = nil
	t.rank(r)
	if t.cfg.Dir != "" {
		r.stale = true
		t.mend(r)
	}
	t.settle(r)
}
