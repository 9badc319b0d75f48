package edge

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/internal/bucket"
	"hedgerow/internal/deadline"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Lifetimes of pair sessions (PROTOCOL.md, section 6).
const (
	rekeyAfter    = 120 * time.Second
	rekeyPassive  = 10 * time.Second // later for the responder, so that one side renews
	rejectAfter   = 180 * time.Second
	sealFor       = 170 * time.Second // the other end's clock of the session may be ahead, and packets travel for a while
	confirmWithin = 10 * time.Second
)

// pairSessions are the at most three pair sessions with one peer: the one that is
// sealed under, the one before it, still opened, and one that we answered as
// responder and that its initiator has not confirmed yet. The queues open what
// comes under each of them, so every change goes into the draft of their table.
type pairSessions struct {
	current, previous, next *dataplane.Session

	half    halfOpen  // of next
	renewAt time.Time // when current is next considered for renewal; zero: at its next use
	stopped bool      // current is for receiving only

	init      pairInit
	claimed   protocol.MAC  // what the initiator of current says that its hardware address is
	introduce bool          // the peer has to be told who we are
	asked     int           // how often the peer was asked who it is
	stating   bucket.Bucket // how often it asks us
	verifying bucket.Bucket // of its statements
	expiring  timer.Timer   // a session wants renewal or has to go
}

// halfOpen is what the INIT of a session says that is not confirmed yet, and where it
// came from.
type halfOpen struct {
	since   time.Time // when the session was made
	claimed protocol.MAC
	from    dataplane.Origin
	source  handshake.Source
}

// pairInit is our side of the handshakes with a peer.
type pairInit struct {
	initiator *handshake.Initiator // nil: none was begun yet
	index     uint32               // ours, under which the INIT waits; 0: none does
	to        netip.AddrPort       // INITs go here as well as through the supernode
	wanted    bool                 // a handshake begins when the peer is settled
	retry     timer.Timer
}

// active reports whether a handshake is under way.
func (i *pairInit) active() bool { return i.initiator != nil && i.initiator.Active() }

// none reports whether there is no session.
func (s *pairSessions) none() bool { return s.current == nil && s.previous == nil && s.next == nil }

// idle reports whether there is no session and none is being made.
func (s *pairSessions) idle() bool { return s.none() && !s.init.active() }

// sealing returns the session to seal under, or nil.
func (s *pairSessions) sealing() *crypto.Session {
	if s.current == nil || s.stopped {
		return nil
	}
	return s.current.Crypto()
}

// answer keeps a session that we answered, until it is confirmed.
func (s *pairSessions) answer(now time.Time, e *dataplane.Session, d *dataplane.Draft) {
	drop(&s.next, d)
	s.next, s.half = e, halfOpen{since: now}
	d.SetSession(e)
}

// promote makes a session the current one and keeps the old for receiving.
func (s *pairSessions) promote(e *dataplane.Session, d *dataplane.Draft) {
	if s.next == e {
		s.next, s.half = nil, halfOpen{}
	}
	if s.current != nil && s.current != e {
		drop(&s.previous, d)
		s.previous = s.current
	}
	s.current, s.stopped, s.renewAt = e, false, renewal(e.Crypto())
	d.SetSession(e)
}

// retire stops sending under the current session; it is still opened.
func (s *pairSessions) retire() { s.stopped = true }

// clear drops every session.
func (s *pairSessions) clear(d *dataplane.Draft) {
	drop(&s.current, d)
	drop(&s.previous, d)
	drop(&s.next, d)
	s.stopped, s.renewAt = false, time.Time{}
}

// drop ends a session: the queues open nothing under it any more.
func drop(e **dataplane.Session, d *dataplane.Draft) {
	if *e != nil {
		d.DropSession((*e).Crypto().LocalIndex())
		*e = nil
	}
}

// move gives every session to another view of the same peer. One that is not
// confirmed yet is told of anew at its next packet.
func (s *pairSessions) move(v *dataplane.Peer, d *dataplane.Draft) {
	for _, e := range []**dataplane.Session{&s.current, &s.previous, &s.next} {
		if *e == nil {
			continue
		}
		moved := dataplane.NewSession((*e).Crypto(), v, (*e).Features())
		if *e != s.next && (*e).Confirmed() {
			moved.Confirm()
		}
		*e = moved
		d.SetSession(moved)
	}
}

// expire drops the sessions that are past their time, and stops sending under the
// current one shortly before. It reports whether the current one has gone.
func (s *pairSessions) expire(now time.Time, d *dataplane.Draft) (lost bool) {
	if s.next != nil && !now.Before(s.half.since.Add(confirmWithin)) {
		drop(&s.next, d)
	}
	if s.previous != nil && !now.Before(expiry(s.previous)) {
		drop(&s.previous, d)
	}
	if s.current == nil {
		return false
	}
	if !now.Before(expiry(s.current)) {
		drop(&s.current, d)
		return true
	}
	if !now.Before(s.current.Crypto().Created().Add(sealFor)) {
		s.retire()
	}
	return false
}

// due reports whether the current session has served its time: it is worn, or old
// enough to be renewed while it is in use.
func (s *pairSessions) due(now time.Time) (worn, old bool) {
	if s.current == nil {
		return false, false
	}
	c := s.current.Crypto()
	return c.NeedsRekey(), !now.Before(renewal(c))
}

// expiry returns when a session is no longer opened.
func expiry(e *dataplane.Session) time.Time { return e.Crypto().Created().Add(rejectAfter) }

// renewal returns when a session in use is to be replaced.
func renewal(s *crypto.Session) time.Time {
	r := s.Created().Add(rekeyAfter)
	if !s.Initiator() {
		r = r.Add(rekeyPassive)
	}
	return r
}

// deadline returns when a session wants renewal or has to go.
func (s *pairSessions) deadline() time.Time {
	var d time.Time
	if s.next != nil {
		d = deadline.Earliest(d, s.half.since.Add(confirmWithin))
	}
	if s.previous != nil {
		d = deadline.Earliest(d, expiry(s.previous))
	}
	if s.current != nil {
		d = deadline.Earliest(deadline.Earliest(d, expiry(s.current)), s.renewAt)
		if !s.stopped {
			d = deadline.Earliest(d, s.current.Crypto().Created().Add(sealFor))
		}
	}
	return d
}
