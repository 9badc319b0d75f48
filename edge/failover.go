package edge

import "time"

// An edge that is registered with two supernodes goes over from one to the other within a
// second. The one that relays is pinged every hopWatch; when an answer is late, frames go
// through both, so that nothing has to be decided: the peers drop what comes twice by the
// replay window. They go through one again as soon as the first answers, or when it is
// given up, hopPingsLost pings later (lost in keepalive.go). Route.Spare is the other one.

// doubt notes that a supernode does not answer in time: frames that it relays go through
// another one as well from now on, which is pinged at once, and those are asked about
// peers in use that did not know them yet.
func (r *registrar) doubt(now time.Time, s *supernode) {
	if s.keepalive.late {
		return
	}
	s.keepalive.late = true
	for _, other := range r.supernodes {
		if other != s {
			other.keepalive.hasten(now)
		}
	}
	for _, p := range r.peers.byStatic {
		if p.view.Route().Supernode != s.view {
			continue
		}
		r.peers.mark(p)
		if r.peers.active(now, p) {
			p.reach.relay.sought = time.Time{}
			r.directory.find(now, p)
		}
	}
}

// trust notes that a supernode has answered: frames go through it alone again.
func (r *registrar) trust(s *supernode) {
	if !s.keepalive.late {
		return
	}
	s.keepalive.late = false
	for _, p := range r.peers.byStatic {
		if p.view.Route().Supernode == s.view {
			r.peers.mark(p)
		}
	}
}

// leave forgets by which handle a supernode that is lost knows a peer, if another one
// relays to the peer. When it comes back it may not know the peer yet, since that has to
// find it again, too: so it is used again only when it has told of the peer.
func (r *registrar) leave(p *peer, s *supernode) {
	if r.supernodes.relays(p) {
		r.peers.setHandle(p, s.id(), 0)
	}
}
