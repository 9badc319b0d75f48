package edge

import (
	"time"

	"hedgerow/protocol"
)

// bar ends the sessions with a peer that has proved to be no member, or no hub.
func bar(now time.Time, s *sessions, p *peer) {
	if !s.self.isolation.admission.bars(p) {
		dismiss(s, p, refusedIsolated, protocol.CloseDone)
		return
	}
	if !p.sessions.idle() {
		p.identity.listing.barred = now
	}
	dismiss(s, p, refusedUnlisted, protocol.CloseRevoked)
}

// dismiss ends the sessions with a peer that nothing is to be said to but why.
func dismiss(s *sessions, p *peer, why refusal, reason uint8) {
	if p.sessions.idle() {
		return
	}
	s.refusals.note(why, p)
	s.pairs.send(p, (&protocol.Close{Reason: reason}).Append)
	s.endHandshake(p)
	s.closed(p)
	s.staged.discard(p)
}
