package edge

import (
	"slices"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Bounds of the frames whose sender is not known well enough (PROTOCOL.md,
// section 6).
const (
	unvouchedMax  = 64
	unvouchedWait = 2 * time.Second
)

// unvouched holds opened GROUP frames whose sender is not known well enough
// yet: nobody has vouched for its salt, or its statement has yet to come.
type unvouched struct {
	waiting []waitingFrame
	plane   *dataplane.Plane
	device  dataplane.FrameQueue // gets the frames that count after all
	expiry  timer.Timer
}

type waitingFrame struct {
	event dataplane.Unvouched
	since time.Time
	host  bool // it is of a host behind its sender, who has to vouch for it in a session
}

func (u *unvouched) open(q *timer.Queue, plane *dataplane.Plane) {
	u.plane = plane
	u.expiry = timer.New(q, "drop frames of strangers", u.expire)
}

// add keeps a frame. Over the bound the oldest goes of the origin that has the most
// waiting, so that one origin cannot crowd out the others.
func (u *unvouched) add(now time.Time, ev dataplane.Unvouched, host bool) {
	if len(u.waiting) >= unvouchedMax {
		u.plane.Drops().Drop(dataplane.DropStageFull)
		at := u.mostOf()
		u.waiting = slices.Delete(u.waiting, at, at+1)
	}
	u.waiting = append(u.waiting, waitingFrame{event: ev, since: now, host: host})
	u.schedule()
}

// mostOf returns the place of the oldest frame of the origin that has the most.
func (u *unvouched) mostOf() (at int) {
	count, most := make(map[dataplane.Origin]int, len(u.waiting)), 0
	for _, w := range u.waiting {
		count[w.event.Origin]++
		most = max(most, count[w.event.Origin])
	}
	return slices.IndexFunc(u.waiting, func(w waitingFrame) bool { return count[w.event.Origin] == most })
}

// remove returns the frames for which match holds, which wait no longer.
func (u *unvouched) remove(match func(waitingFrame) bool) (removed []dataplane.Unvouched) {
	u.waiting = slices.DeleteFunc(u.waiting, func(w waitingFrame) bool {
		if !match(w) {
			return false
		}
		removed = append(removed, w.event)
		return true
	})
	u.schedule()
	return removed
}

// expire drops frames that waited too long.
func (u *unvouched) expire(now time.Time) {
	n := 0
	for n < len(u.waiting) && now.Sub(u.waiting[n].since) >= unvouchedWait {
		u.plane.Drops().Drop(dataplane.DropGroupUnvouched)
		n++
	}
	u.waiting = slices.Delete(u.waiting, 0, n)
	u.schedule()
}

func (u *unvouched) schedule() {
	if len(u.waiting) == 0 {
		u.expiry.Stop()
		return
	}
	u.expiry.Set(u.waiting[0].since.Add(unvouchedWait))
}

// whole returns the inner of a peer's frame, once all pieces of it have come.
func (u *unvouched) whole(now time.Time, p *peer, ev dataplane.Unvouched) (inner []byte, ok bool) {
	if len(ev.Inner) == 0 || protocol.Kind(ev.Inner[0]>>6) != protocol.KindFragment {
		return ev.Inner, true
	}
	in, err := protocol.ParseInner(ev.Inner)
	if err != nil {
		u.plane.Drops().Drop(dataplane.DropInner)
		return nil, false
	}
	return u.plane.Join(now, p.view, ev.Run, ev.CTR, in.Body)
}

// vouched reports whether a peer has vouched for the salt of a GROUP packet meanwhile.
func (u *unvouched) vouched(p *peer, ev dataplane.Unvouched) bool {
	return u.plane.Groups().Vouched(p.view.Static(), ev.KI, ev.XF, ev.Salt)
}

// sent reports whether an event's packet came from a peer, as far as its origin
// tells. A peer's path to us may be direct while ours to it is not.
func (p *peer) sent(from dataplane.Origin) bool {
	if from.Supernode != nil {
		h := p.handles[from.Supernode.ID()]
		return h != 0 && h == from.Handle
	}
	return p.view.Route().Direct == from.Addr || p.reach.path != nil && p.reach.path.Knows(from.Addr)
}

// senderOf returns the peer that a packet came from, as far as its origin tells,
// or nil.
func (s *sessions) senderOf(from dataplane.Origin) *peer {
	if from.Supernode != nil {
		return s.peers.byHandle[from.Supernode.ID()][from.Handle]
	}
	var perhaps *peer
	for _, p := range s.peers.byStatic {
		if p.view.Route().Direct == from.Addr {
			return p
		}
		if perhaps == nil && p.sent(from) {
			perhaps = p
		}
	}
	return perhaps
}

// handleUnvouched judges an opened GROUP packet of a sender that did not
// vouch for its salt. One inside the time rule counts as its statement's
// owner if the frame carries just that address; any other waits while its
// sender is asked. It reports whether a supernode has to be asked who sent it.
func (s *sessions) handleUnvouched(now time.Time, ev dataplane.Unvouched) (unknown bool) {
	p := s.senderOf(ev.Origin)
	known := p != nil && p.known()
	if known && s.believable(p, ev) {
		s.deliverUnvouched(now, p, ev)
		return false
	}
	s.unvouched.add(now, ev, false)
	if known {
		// It vouches at the start of a session. If there is one, its message got
		// lost.
		s.initiate(p)
	}
	return !known
}

// deliverUnvouched delivers the frame of a GROUP packet that was unvouched when it
// came. One of a host behind its sender waits until the sender has vouched: a session
// with it is made for that, since nobody else has the host's address bound to it.
func (s *sessions) deliverUnvouched(now time.Time, p *peer, ev dataplane.Unvouched) {
	inner, whole := s.unvouched.whole(now, p, ev)
	switch {
	case !whole:
	case !p.identity.bound:
		s.plane.Drops().Drop(dataplane.DropGroupUnvouched)
	case s.plane.Deliver(now, s.unvouched.device, p.view, inner, s.unvouched.vouched(p, ev)):
		ev.Inner = inner
		s.unvouched.add(now, ev, true)
		s.initiate(p)
	}
}

// believable reports whether an opened GROUP packet of a peer may be delivered:
// the peer has vouched for its salt meanwhile, or could not vouch yet because there
// is no session, and the community has no list of members. With a session, a salt
// that the peer has not vouched for is a replay, or another edge's.
func (s *sessions) believable(p *peer, ev dataplane.Unvouched) bool {
	if s.unvouched.vouched(p, ev) {
		return true
	}
	return p.known() && !ev.Stale && p.sessions.current == nil && !s.keys.listed()
}

// releaseUnvouched looks again at what waited for a peer: it may have vouched for
// a salt, or its statement may have come.
func (s *sessions) releaseUnvouched(now time.Time, p *peer) {
	if len(s.unvouched.waiting) == 0 {
		return
	}
	due := s.unvouched.remove(func(w waitingFrame) bool {
		return s.unvouched.vouched(p, w.event) || !w.host && p.sent(w.event.Origin) && s.believable(p, w.event)
	})
	for _, ev := range due {
		s.deliverUnvouched(now, p, ev)
	}
}

// withheld reports whether frames of a peer wait for it to vouch for their salt.
// Those that only its statement was missing for are delivered when it is settled.
func (s *sessions) withheld(p *peer) bool {
	return slices.ContainsFunc(s.unvouched.waiting, func(w waitingFrame) bool {
		return p.sent(w.event.Origin) && (w.host && !s.unvouched.vouched(p, w.event) || !s.believable(p, w.event))
	})
}
