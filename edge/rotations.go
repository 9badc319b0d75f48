package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// A supernode may say that another key takes the place of its own (ROTATE), and answers by
// both for a time. We make the next session by the new one, as sessions are renewed anyway:
// the old one is opened for as long as packets come in it.

const (
	// rotateTries is after how many INITs without an answer we stay with the key that we
	// know. The supernode says it again in the next session.
	rotateTries = 8
	// rotatePause is the shortest time between two rotations of a supernode that are looked
	// at: each costs an agreement.
	rotatePause = time.Second
	// rotateRest is how long after one that counts the next one may: each is a line in the
	// log and a write to the disk. The supernode says it again in the next session.
	rotateRest = time.Minute
)

// rotations is the owner of which key of a supernode takes the place of which.
type rotations struct {
	hops     hopSender
	party    *handshake.Party
	state    *state
	reports  *reporter
	refusals *refusals
	begin    func(now time.Time, s *supernode) // begins a session where the one in use is
}

// handle handles a supernode's word about another key. current: it came in the session in
// use.
func (o *rotations) handle(now time.Time, s *supernode, m protocol.Rotate, current bool) {
	r := &s.init.rotation
	switch {
	case m.Serial <= r.serial || r.next != nil && r.next.key == m.Key:
	case !current || s.key == nil || s.hop.session.Crypto().Static() != *s.key:
		o.refusals.note(refusedRotate, s, "why", "not in the session in use")
		return
	case now.Sub(r.looked) < rotatePause, now.Before(r.rests):
		o.refusals.note(refusedRotate, s, "why", "too soon")
		return
	default:
		r.looked = now
		said := crypto.Rotation{Old: *s.key, New: m.Key, Serial: m.Serial}
		if !said.Proven(o.party.Identity, m.Proof) {
			o.refusals.note(refusedRotate, s, "why", "the owner of the new key has not said so")
			return
		}
		o.goOver(now, s, m)
	}
	noted := protocol.Rotate{Serial: m.Serial}
	o.hops.send(s, noted.Append)
}

// goOver begins a session by another key of a supernode.
func (o *rotations) goOver(now time.Time, s *supernode, m protocol.Rotate) {
	s.init.initiator.Stop()
	s.init.rotation.next = &nextKey{key: m.Key, serial: m.Serial, mask: s.cfg.maskOf(m.Key)}
	s.init.initiator = handshake.NewInitiator(o.party, m.Key)
	o.begin(now, s)
}

// failed reports whether another key of a supernode was tried and is given up.
func (o *rotations) failed(s *supernode) bool {
	i := &s.init
	if i.rotation.next == nil || i.initiator.Attempts() < rotateTries {
		return false
	}
	o.stay(s)
	return true
}

// stay gives the other key of a supernode up, if one is tried.
func (o *rotations) stay(s *supernode) {
	i := &s.init
	if i.rotation.next == nil {
		return
	}
	i.initiator.Stop()
	i.retry.Stop()
	i.rotation.next = nil
	i.initiator = handshake.NewInitiator(o.party, *s.key)
}

// answered keeps the other key of a supernode, if that is the one by which it has answered.
func (o *rotations) answered(now time.Time, s *supernode, by [32]byte) {
	r := &s.init.rotation
	next := r.next
	if next == nil || by != next.key {
		return
	}
	from := *s.key
	r.former, r.next, r.serial = s.mask, nil, next.serial
	r.rests = now.Add(rotateRest)
	s.pin(next.key)
	o.state.keepRotation(s.cfg.Name, from, next.key, r.serial)
	if s.cfg.Key == nil {
		o.state.pinSupernode(s.cfg.Name, next.key)
	}
	o.state.keepPointer(s.cfg.Name, next.key, &s.leader().where.pointer)
	o.state.keep()
	o.reports.report(now, control.Event{
		Kind: control.EventRotated, Supernode: s.cfg.Name, Key: next.key, Text: control.Rotated(s.cfg.Name, next.key, s.cfg.Key != nil),
	})
}

// shows tells the user once that a supernode has shown another key than it is known by, and
// what to type if that is right. A place that a name or a redirect leads to beside where the
// supernode is says that in its own words, where the key was typed.
func (o *rotations) shows(now time.Time, s *supernode) {
	other, next := s.hello.other, s.init.rotation.next
	s.hello.other = otherKey{}
	switch {
	case other.key == ([32]byte{}) || other.key == *s.key || next != nil && other.key == next.key || s.reported.otherKey != "":
		return
	case s.cfg.Key != nil && s.kin.first != nil:
		return
	}
	s.reported.otherKey = control.OtherKey(s.cfg.Name, other.key, s.cfg.Key != nil, o.state.replaced(s.cfg.Name, other.key))
	o.reports.report(now, control.Event{
		Kind: control.EventKeyChanged, Supernode: s.cfg.Name, Addr: other.from, Key: other.key, Text: s.reported.otherKey,
	})
}
