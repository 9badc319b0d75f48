package edge

import (
	"slices"
	"time"

	"hedgerow/protocol"
	"hedgerow/tap"
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
	event event
	since time.Time
}

// staged holds frames for peers that cannot be sent to yet.
type staged struct {
	frames []stagedFrame // oldest first
	count  map[*peerView]int
}

type stagedFrame struct {
	peer  *peerView
	frame []byte
	since time.Time
}

// add keeps a frame; over a bound the oldest goes.
func (s *staged) add(now time.Time, p *peerView, frame []byte, d *drops) {
	if s.count == nil {
		s.count = make(map[*peerView]int)
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

func (s *staged) removeFirst(match func(stagedFrame) bool, d *drops) {
	for i, f := range s.frames {
		if match(f) {
			s.frames = append(s.frames[:i], s.frames[i+1:]...)
			s.uncount(f.peer)
			d.drop(dropStageFull)
			return
		}
	}
}

func (s *staged) uncount(p *peerView) {
	if s.count[p]--; s.count[p] <= 0 {
		delete(s.count, p)
	}
}

// take removes and returns the frames for a peer, oldest first.
func (s *staged) take(p *peerView) [][]byte {
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
func (s *staged) move(from, to *peerView) {
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
func (s *staged) discard(p *peerView, d *drops) {
	for range s.take(p) {
		d.drop(dropStageFull)
	}
}

// expire drops frames that waited too long.
func (s *staged) expire(now time.Time, d *drops) {
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
	t := e.table.Load()
	for _, f := range frames {
		b := make([]byte, headroom+len(f)+tailroom)
		copy(b[headroom:], f)
		frame := protocol.Frame(f)
		elide := frame.Dst() == p.view.mac && frame.Src() == e.self
		e.late.sealTo(t, e.since(now), p.view, &tap.Frame{Buf: b, Off: headroom, Len: len(f)}, elide)
	}
	e.late.flush()
	e.late.cuts.settle(&e.total)
	e.late.tally = tally{} // they were counted when they came
}

// senderOf returns the peer whose packet an event carries, as far as the way
// it came by tells, or nil.
func (e *Edge) senderOf(ev event) *peer {
	if ev.link != nil {
		return e.peers.byHandle[ev.link.id][ev.handle]
	}
	for _, p := range e.peers.byStatic {
		if p.view.route.Load().direct == ev.from {
			return p
		}
	}
	// The peer's path to us may be direct while ours to it is not.
	for _, p := range e.peers.byStatic {
		if p.path != nil && p.path.Knows(ev.from) {
			return p
		}
	}
	return nil
}

// handleUnvouched judges an opened GROUP packet of a sender that did not
// vouch for its salt. One inside the time rule counts as its statement's
// owner if the frame carries just that address; any other waits while its
// sender is asked.
func (e *Edge) handleUnvouched(now time.Time, ev event) {
	p := e.senderOf(ev)
	known := p != nil && p.id.raw != nil
	if known && e.believable(p, ev) {
		e.deliverUnvouched(now, p, ev)
		return
	}
	u := &e.unvouched
	if len(u.waiting) >= unvouchedMax {
		e.drops.drop(dropStageFull)
		u.waiting = append(u.waiting[:0], u.waiting[1:]...)
	}
	u.waiting = append(u.waiting, waitingFrame{event: ev, since: now})
	switch {
	case !known && ev.link != nil:
		e.query(now, e.links[ev.link.id], protocol.Query{Handle: ev.handle})
	case known:
		// It vouches at the start of a session. If there is one, its message got
		// lost.
		e.initiate(now, p)
	}
}

// deliverUnvouched delivers the frame of an unvouched GROUP packet if its
// source is just the address in its sender's statement. Nothing is learned
// from it.
func (e *Edge) deliverUnvouched(now time.Time, p *peer, ev event) {
	inner := ev.raw
	if len(inner) > 0 && protocol.Kind(inner[0]>>6) == protocol.KindFragment {
		in, err := protocol.ParseInner(inner)
		if err != nil {
			e.drops.drop(dropInner)
			return
		}
		whole, done := e.unvouched.fragments.Add(now, ev.run, ev.ctr, in.Body)
		if !done {
			return
		}
		inner = whole
	}
	if len(inner) == 0 || protocol.Kind(inner[0]>>6) != protocol.KindFrame {
		e.drops.drop(dropInner)
		return
	}
	b := make([]byte, headroom+len(inner))
	copy(b[headroom:], inner)
	off, n, in, err := protocol.DecodeFrame(b, headroom, len(b), e.self, p.view.mac)
	if err != nil || protocol.Frame(b[off:off+n]).Valid() != nil {
		e.drops.drop(dropInner)
		return
	}
	frame := protocol.Frame(b[off : off+n])
	if frame.Src() != p.view.mac || !p.id.bound {
		e.drops.drop(dropGroupUnvouched)
		return
	}
	p.view.count.rxBytes.Add(uint64(n))
	e.total.rxFrames.Add(1)
	e.total.rxBytes.Add(uint64(n))
	if !frame.Dst().IsGroup() {
		p.view.touch(e.since(now), e.mailbox)
	}
	if _, err := e.cfg.Queues[0].Frames.WriteBatch([]tap.Frame{{Buf: b, Off: off, Len: n, Offload: leftUndone(in)}}); err != nil {
		e.drops.drop(dropDeviceWrite)
	}
}

// believable reports whether an opened GROUP packet of a peer may be delivered:
// its very salt was vouched for meanwhile, or nobody could have vouched yet and
// the community lets strangers' packets count. With a session a salt that is not
// vouched for is a replay, or somebody else's.
func (e *Edge) believable(p *peer, ev event) bool {
	if e.groupRx.Vouched(p.view.static, ev.ki, ev.xf, ev.salt) {
		return true
	}
	return p.id.raw != nil && !ev.stale && p.sessions.current == nil && !e.table.Load().list
}

// releaseUnvouched looks again at what waited for a peer: it vouched for a
// salt, or its statement came.
func (e *Edge) releaseUnvouched(now time.Time, p *peer) {
	u := &e.unvouched
	kept := u.waiting[:0]
	var due []event
	for _, w := range u.waiting {
		vouched := e.groupRx.Vouched(p.view.static, w.event.ki, w.event.xf, w.event.salt)
		if vouched || e.senderOf(w.event) == p && e.believable(p, w.event) {
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
	return slices.ContainsFunc(e.unvouched.waiting, func(w waitingFrame) bool { return e.senderOf(w.event) == p })
}

func (u *unvouched) expire(now time.Time, d *drops) {
	n := 0
	for n < len(u.waiting) && now.Sub(u.waiting[n].since) >= unvouchedWait {
		d.drop(dropGroupUnvouched)
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
