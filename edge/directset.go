package edge

import (
	"slices"
	"time"

	"hedgerow/protocol"
)

// A DIRECT is not acknowledged, so it is repeated.
const (
	directRepeats  = 3
	directRepeatIn = 300 * time.Millisecond
)

// sendDirect tells a supernode which peers get our floods directly.
func (r *registrar) sendDirect(now time.Time, s *supernode) {
	d := &s.direct
	d.again.Stop()
	if !s.current() {
		return
	}
	d.unsure = d.unsure && d.repeats > 0
	if d.repeats > 0 {
		d.repeats--
		d.again.Set(now.Add(directRepeatIn))
	}
	m := protocol.Direct{Handles: d.handles}
	r.hops.send(s, m.Append)
	s.publishHop()
}

// forgetDirect begins anew: the supernode knows no DIRECT set of this session.
func (r *registrar) forgetDirect(s *supernode) {
	d := &s.direct
	d.handles, d.repeats, d.unsure = nil, 0, false
	d.again.Stop()
}

// updateDirect computes the DIRECT set of every supernode anew after a change of
// routes. A peer on both paths is not in it.
func (r *registrar) updateDirect(now time.Time) {
	for _, s := range r.supernodes {
		if !s.current() {
			continue
		}
		handles := r.directHandles(s)
		if !slices.Equal(handles, s.direct.handles) {
			s.direct.handles, s.direct.repeats = handles, directRepeats
			r.sendDirect(now, s)
		}
	}
}

// directHandles returns the DIRECT set of a supernode, sorted.
func (r *registrar) directHandles(s *supernode) (handles []uint32) {
	for h, p := range r.peers.byHandle[s.id()] {
		if to := p.view.Route(); p.inDirectSet(&to) {
			handles = append(handles, h)
		}
	}
	slices.Sort(handles)
	return handles
}
