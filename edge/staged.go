package edge

import (
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
)

// Bounds of the frames that wait for a peer.
const (
	stagedMax     = 1024
	stagedPerPeer = 64
	stagedWait    = 10 * time.Second
)

// staged holds the frames that dataplane.sealTo could not send yet: for a peer
// without a session in a community with a member list, or without a next hop. What
// is dropped here counts as "stage-full".
type staged struct {
	frames []stagedFrame // oldest first
	count  map[*peer]int
	plane  *dataplane.Plane
	expiry timer.Timer
}

type stagedFrame struct {
	peer  *peer
	frame []byte
	since time.Time
}

func (s *staged) open(q *timer.Queue, plane *dataplane.Plane) {
	s.count, s.plane = make(map[*peer]int), plane
	s.expiry = timer.New(q, "drop staged frames", s.expire)
}

// add keeps a frame; over a bound the oldest goes.
func (s *staged) add(now time.Time, p *peer, frame []byte) {
	if s.count[p] >= stagedPerPeer {
		s.dropFirst(func(f stagedFrame) bool { return f.peer == p })
	}
	if len(s.frames) >= stagedMax {
		s.dropFirst(func(stagedFrame) bool { return true })
	}
	s.frames = append(s.frames, stagedFrame{peer: p, frame: frame, since: now})
	s.count[p]++
	s.schedule()
}

func (s *staged) schedule() {
	if len(s.frames) == 0 {
		s.expiry.Stop()
		return
	}
	s.expiry.Set(s.frames[0].since.Add(stagedWait))
}

func (s *staged) dropFirst(match func(stagedFrame) bool) {
	for i, f := range s.frames {
		if match(f) {
			s.frames = append(s.frames[:i], s.frames[i+1:]...)
			s.uncount(f.peer)
			s.plane.Drops().Drop(dataplane.DropStageFull)
			return
		}
	}
}

func (s *staged) uncount(p *peer) {
	if s.count[p]--; s.count[p] <= 0 {
		delete(s.count, p)
	}
}

// remove returns the frames for a peer, oldest first, which wait no longer.
func (s *staged) remove(p *peer) [][]byte {
	if s.count[p] == 0 {
		return nil
	}
	var removed [][]byte
	kept := s.frames[:0]
	for _, f := range s.frames {
		if f.peer == p {
			removed = append(removed, f.frame)
		} else {
			kept = append(kept, f)
		}
	}
	clear(s.frames[len(kept):])
	s.frames = kept
	delete(s.count, p)
	s.schedule()
	return removed
}

// discard drops the frames for a peer that cannot be reached.
func (s *staged) discard(p *peer) {
	for range s.remove(p) {
		s.plane.Drops().Drop(dataplane.DropStageFull)
	}
}

// expire drops frames that waited too long.
func (s *staged) expire(now time.Time) {
	for len(s.frames) > 0 && now.Sub(s.frames[0].since) >= stagedWait {
		s.dropFirst(func(stagedFrame) bool { return true })
	}
	s.schedule()
}

// carries reports whether frames wait for a peer that could be sent now: inside a
// session, or as GROUP packets through a supernode that knows it.
func (s *sessions) carries(p *peer) bool {
	if s.staged.count[p] == 0 {
		return false
	}
	r := p.view.Route()
	switch {
	case s.self.isolation.closed() && (r.Session == nil || !s.self.isolation.exchanges(p)):
		return false
	case s.plane.NoRelay() && !r.Direct.IsValid():
		return false
	case r.Session != nil && r.Direct.IsValid():
		return true
	case r.Supernode == nil || !r.Supernode.Reachable():
		return false
	}
	return r.Session != nil || !s.keys.listed() && s.keys.group != nil
}
