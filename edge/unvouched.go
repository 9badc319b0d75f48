package edge

import (
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// Bounds of what waits for somebody to be known better (PROTOCOL.md,
// sections 4 and 10).
const (
	unvouchedMax  = 64
	unvouchedWait = 2 * time.Second
	stagedMax     = 1024
	stagedPerPeer = 64
	stagedWait    = 10 * time.Second
)

// unvouched holds opened GROUP frames whose sender is not known well enough
// yet: its salt was vouched for by nobody, or its statement is on its way.
type unvouched struct {
	waiting   []waitingFrame
	fragments protocol.Reassembler
}

type waitingFrame struct {
	event dataplane.Unvouched
	since time.Time
}

// staged holds frames for peers that cannot be sent to yet.
type staged struct {
	frames []stagedFrame // oldest first
	count  map[*dataplane.Peer]int
}

type stagedFrame struct {
	peer  *dataplane.Peer
	frame []byte
	since time.Time
}

// add keeps a frame; over a bound the oldest goes.
func (s *staged) add(now time.Time, p *dataplane.Peer, frame []byte, d *dataplane.Drops) {
	if s.count == nil {
		s.count = make(map[*dataplane.Peer]int)
	}
	if s.count[p] >= stagedPerPeer {
		s.removeFirst(func(f stagedFrame) bool { return f.peer == p }, d)
	}
	if len(s.frames) >= stagedMax {
		s.removeFirst(func(stagedFrame) bool { return true }, d)
	}
	s.frames = append(s.frames, stagedFrame{peer: p, frame: frame, since: now})
	s.count[p]++
}

func (s *staged) removeFirst(match func(stagedFrame) bool, d *dataplane.Drops) {
	for i, f := range s.frames {
		if match(f) {
			s.frames = append(s.frames[:i], s.frames[i+1:]...)
			s.uncount(f.peer)
			d.Drop(dataplane.DropStageFull)
			return
		}
	}
}

func (s *staged) uncount(p *dataplane.Peer) {
	if s.count[p]--; s.count[p] <= 0 {
		delete(s.count, p)
	}
}

// take removes and returns the frames for a peer, oldest first.
func (s *staged) take(p *dataplane.Peer) [][]byte {
	if s.count[p] == 0 {
		return nil
	}
	var taken [][]byte
	kept := s.frames[:0]
	for _, f := range s.frames {
		if f.peer == p {
			taken = append(taken, f.frame)
		} else {
			kept = append(kept, f)
		}
	}
	clear(s.frames[len(kept):])
	s.frames = kept
	delete(s.count, p)
	return taken
}

// move gives the frames for a peer to another view of it.
func (s *staged) move(from, to *dataplane.Peer) {
	if s.count[from] == 0 {
		return
	}
	for i := range s.frames {
		if s.frames[i].peer == from {
			s.frames[i].peer = to
		}
	}
	s.count[to] += s.count[from]
	delete(s.count, from)
}

// discard drops the frames for a peer that cannot be reached.
func (s *staged) discard(p *dataplane.Peer, d *dataplane.Drops) {
	for range s.take(p) {
		d.Drop(dataplane.DropStageFull)
	}
}

// expire drops frames that waited too long.
func (s *staged) expire(now time.Time, d *dataplane.Drops) {
	for len(s.frames) > 0 && now.Sub(s.frames[0].since) >= stagedWait {
		s.removeFirst(func(stagedFrame) bool { return true }, d)
	}
}

func (s *staged) deadline() time.Time {
	if len(s.frames) == 0 {
		return time.Time{}
	}
	return s.frames[0].since.Add(stagedWait)
}

// releaseStaged sends what waited for a peer.
func (e *Edge) releaseStaged(now time.Time, p *peer) {
	frames := e.staged.take(p.view)
	if len(frames) == 0 {
		return
	}
	e.send.SendStaged(now, p.view, frames)
}

// senderOf returns the peer whose packet an event carries, as far as the way
// it came by tells, or nil.
func (e *Edge) senderOf(from dataplane.Origin) *peer {
	if from.Supernode != nil {
		return e.peers.byHandle[from.Supernode.ID()][from.Handle]
	}
	for _, p := range e.peers.byStatic {
		if p.view.Route().Direct == from.Addr {
			return p
		}
	}
	// The peer's path to us may be direct while ours to it is not.
	for _, p := range e.peers.byStatic {
		if p.path != nil && p.path.Knows(from.Addr) {
			return p
		}
	}
	return nil
}

// handleUnvouched judges an opened GROUP packet of a sender that did not
// vouch for its salt. One inside the time rule counts as its statement's
// owner if the frame carries just that address; any other waits while its
// sender is asked.
func (e *Edge) handleUnvouched(now time.Time, ev dataplane.Unvouched) {
	p := e.senderOf(ev.Origin)
	known := p != nil && p.id.raw != nil
	if known && e.believable(p, ev) {
		e.deliverUnvouched(now, p, ev)
		return
	}
	u := &e.unvouched
	if len(u.waiting) >= unvouchedMax {
		e.drops.Drop(dataplane.DropStageFull)
		u.waiting = append(u.waiting[:0], u.waiting[1:]...)
	}
	u.waiting = append(u.waiting, waitingFrame{event: ev, since: now})
	switch {
	case !known && ev.Origin.Supernode != nil:
		e.query(now, e.links[ev.Origin.Supernode.ID()], protocol.Query{Handle: ev.Origin.Handle})
	case known:
		// It vouches at the start of a session. If there is one, its message got
		// lost.
		e.initiate(now, p)
	}
}

// deliverUnvouched delivers the frame of an unvouched GROUP packet if its
// source is just the address in its sender's statement. Nothing is learned
// from it.
func (e *Edge) deliverUnvouched(now time.Time, p *peer, ev dataplane.Unvouched) {
	inner := ev.Inner
	if len(inner) > 0 && protocol.Kind(inner[0]>>6) == protocol.KindFragment {
		in, err := protocol.ParseInner(inner)
		if err != nil {
			e.drops.Drop(dataplane.DropInner)
			return
		}
		whole, done := e.unvouched.fragments.Add(now, ev.Run, ev.CTR, in.Body)
		if !done {
			return
		}
		inner = whole
	}
	if !p.id.bound {
		e.drops.Drop(dataplane.DropGroupUnvouched)
		return
	}
	e.plane.Deliver(now, e.cfg.Queues[0].Frames, p.view, inner)
}

// believable reports whether an opened GROUP packet of a peer may be delivered:
// its very salt was vouched for meanwhile, or nobody could have vouched yet and
// the community lets strangers' packets count. With a session a salt that is not
// vouched for is a replay, or somebody else's.
func (e *Edge) believable(p *peer, ev dataplane.Unvouched) bool {
	if e.plane.Groups().Vouched(p.view.Static(), ev.KI, ev.XF, ev.Salt) {
		return true
	}
	return p.id.raw != nil && !ev.Stale && p.sessions.current == nil && e.keys.community.Members != crypto.MembersList
}

// releaseUnvouched looks again at what waited for a peer: it vouched for a
// salt, or its statement came.
func (e *Edge) releaseUnvouched(now time.Time, p *peer) {
	u := &e.unvouched
	kept := u.waiting[:0]
	var due []dataplane.Unvouched
	for _, w := range u.waiting {
		vouched := e.plane.Groups().Vouched(p.view.Static(), w.event.KI, w.event.XF, w.event.Salt)
		if vouched || e.senderOf(w.event.Origin) == p && e.believable(p, w.event) {
			due = append(due, w.event)
		} else {
			kept = append(kept, w)
		}
	}
	clear(u.waiting[len(kept):])
	u.waiting = kept
	for _, ev := range due {
		e.deliverUnvouched(now, p, ev)
	}
}

// withheld reports whether frames of a peer wait for it to vouch for their salt.
func (e *Edge) withheld(p *peer) bool {
	return slices.ContainsFunc(e.unvouched.waiting, func(w waitingFrame) bool { return e.senderOf(w.event.Origin) == p })
}

func (u *unvouched) expire(now time.Time, d *dataplane.Drops) {
	n := 0
	for n < len(u.waiting) && now.Sub(u.waiting[n].since) >= unvouchedWait {
		d.Drop(dataplane.DropGroupUnvouched)
		n++
	}
	u.waiting = append(u.waiting[:0], u.waiting[n:]...)
}

func (u *unvouched) deadline() time.Time {
	if len(u.waiting) == 0 {
		return time.Time{}
	}
	return u.waiting[0].since.Add(unvouchedWait)
}
