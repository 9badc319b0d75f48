package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
)

// Lifetimes of pair sessions (PROTOCOL.md, section 6).
const (
	rekeyAfter    = 120 * time.Second
	rekeyPassive  = 10 * time.Second // later for the responder, so that one side renews
	rejectAfter   = 180 * time.Second
	sealFor       = 170 * time.Second // the other end's clock of the session may be ahead, and packets take a while
	confirmWithin = 10 * time.Second
)

// sessions are the at most three pair sessions with one peer: the one that is
// sealed under, the one before it, still opened, and one that we answered as
// responder and that its initiator has not confirmed yet.
type sessions struct {
	current, previous, next *dataplane.Session
	since                   time.Time // when next was made
	renewAt                 time.Time // when current is next considered for renewal; zero: at its next use
	stop                    bool      // current is for receiving only
}

func (s *sessions) none() bool { return s.current == nil && s.previous == nil && s.next == nil }

// promote makes a session the current one and keeps the old for receiving.
func (s *sessions) promote(e *dataplane.Session) {
	if s.current != nil && s.current != e {
		s.previous = s.current
	}
	s.current, s.stop, s.renewAt = e, false, renewal(e.Crypto())
	if s.next == e {
		s.next = nil
	}
}

// retire stops sending under the current session; it is still opened.
func (s *sessions) retire() { s.stop = true }

// each calls f for every session there is.
func (s *sessions) each(f func(*dataplane.Session)) {
	for _, e := range []*dataplane.Session{s.current, s.previous, s.next} {
		if e != nil {
			f(e)
		}
	}
}

// has reports whether a session is one of them.
func (s *sessions) has(e *dataplane.Session) bool {
	return e != nil && (e == s.current || e == s.previous || e == s.next)
}

// move gives every session to another view of the same peer. One that is not
// adopted yet is told of anew at its next packet.
func (s *sessions) move(v *dataplane.Peer) {
	for _, e := range []**dataplane.Session{&s.current, &s.previous, &s.next} {
		if *e == nil {
			continue
		}
		moved := dataplane.NewSession((*e).Crypto(), v, (*e).Partial())
		if *e != s.next && (*e).Confirmed() {
			moved.Confirm()
		}
		*e = moved
	}
}

// sealing returns the session to seal under, or nil.
func (s *sessions) sealing() *crypto.Session {
	if s.current == nil || s.stop {
		return nil
	}
	return s.current.Crypto()
}

// expiry returns when a session is no longer opened.
func expiry(e *dataplane.Session) time.Time { return e.Crypto().Created().Add(rejectAfter) }

// deadline returns when a session wants renewal or has to go.
func (s *sessions) deadline() time.Time {
	var d time.Time
	if s.next != nil {
		d = earliest(d, s.since.Add(confirmWithin))
	}
	if s.previous != nil {
		d = earliest(d, expiry(s.previous))
	}
	if s.current != nil {
		d = earliest(earliest(d, expiry(s.current)), s.renewAt)
		if !s.stop {
			d = earliest(d, s.current.Crypto().Created().Add(sealFor))
		}
	}
	return d
}

// renewal returns when a session in use is to be replaced.
func renewal(s *crypto.Session) time.Time {
	r := s.Created().Add(rekeyAfter)
	if !s.Initiator() {
		r = r.Add(rekeyPassive)
	}
	return r
}

// tickSessions drops sessions past their time and renews the current one
// while it is in use.
func (e *Edge) tickSessions(now time.Time, p *peer) {
	s := &p.sessions
	if s.next != nil && !now.Before(s.since.Add(confirmWithin)) {
		s.next, e.dirty = nil, true
	}
	if s.previous != nil && !now.Before(expiry(s.previous)) {
		s.previous, e.dirty = nil, true
	}
	if s.current == nil {
		return
	}
	if !now.Before(expiry(s.current)) {
		s.current, e.dirty = nil, true
		e.lostSession(now, p)
		return
	}
	if !s.stop && !now.Before(s.current.Crypto().Created().Add(sealFor)) {
		s.retire()
		e.reroute(now, p)
	}
	worn := s.current.Crypto().NeedsRekey()
	if !worn && now.Before(renewal(s.current.Crypto())) {
		return
	}
	s.renewAt = time.Time{} // the next use asks again
	if !p.handshake.active && (worn || e.wanted(now, p)) {
		e.initiate(now, p)
	}
}

// wanted reports whether a session is worth renewing: frames pass, or a direct
// path is being kept open for them.
func (e *Edge) wanted(now time.Time, p *peer) bool {
	if e.active(now, p) {
		return true
	}
	return p.path != nil && p.path.Route().Direct.IsValid()
}

// lostSession is called when a peer's last session has gone.
func (e *Edge) lostSession(now time.Time, p *peer) {
	p.path, p.quality = nil, quality{}
	e.trimFan(p)
	e.reroute(now, p)
	e.announceDown(now, p)
}
