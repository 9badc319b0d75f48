package crypto

import "time"

const (
	// groupSendersMax is how many senders may have vouched for salts, at two each.
	groupSendersMax = 4096
	// senderIdle is how long a sender has not been heard of that may be forgotten
	// for another one while the table is full. A live one vouches again with every
	// session, every 120 s.
	senderIdle = 300 * time.Second
	// senderSample is how many senders are looked at to find such a one.
	senderSample = 16
)

// groupSender is one sender that vouched: its newest two salts, the newer first.
// Everything else that names it is refused by comparison (displaced), so that
// nothing has to be remembered of the salts before.
type groupSender struct {
	static [32]byte
	tag    [senderTagLen]byte
	salts  [2]*groupEntry // nil: none
	newest time.Time      // the latest creation time of any salt that it vouched for
	used   time.Time
	place  int // in groupSenders.list
}

// groupSenders are those that vouched.
type groupSenders struct {
	byTag map[[senderTagLen]byte]*groupSender
	list  []*groupSender
	turn  int // where the search for an idle one goes on
}

func makeGroupSenders() groupSenders {
	return groupSenders{byTag: make(map[[senderTagLen]byte]*groupSender)}
}

// displaced reports whether an unknown salt names a sender that vouched for a newer
// one: then it was displaced, or was drawn by an earlier run of that sender. A salt
// that is not older than all that its sender vouched for is not: its SALT may be on
// the way.
func (s *groupSenders) displaced(k *groupSalt) bool {
	sender := s.byTag[k.sender()]
	return sender != nil && k.time().Before(sender.newest)
}

// add returns the record of a sender, which it makes if need be: nil when there is
// no room. idle is the one that was forgotten for it, nil for none.
func (s *groupSenders) add(now time.Time, static [32]byte, tag [senderTagLen]byte) (sender, idle *groupSender) {
	if sender = s.byTag[tag]; sender != nil {
		return sender, nil
	}
	if len(s.list) >= groupSendersMax {
		if idle = s.findIdle(now); idle == nil {
			return nil, nil
		}
		s.remove(idle)
	}
	sender = &groupSender{static: static, tag: tag, used: now, place: len(s.list)}
	s.byTag[tag] = sender
	s.list = append(s.list, sender)
	return sender, idle
}

// findIdle returns a sender that may be forgotten for another one, or nil. It looks
// at a few, and at others the next time.
func (s *groupSenders) findIdle(now time.Time) *groupSender {
	for range senderSample {
		s.turn = (s.turn + 1) % len(s.list)
		if sender := s.list[s.turn]; now.Sub(sender.used) >= senderIdle {
			return sender
		}
	}
	return nil
}

// remove forgets a sender. Its entries are the caller's to delete.
func (s *groupSenders) remove(sender *groupSender) {
	last := len(s.list) - 1
	s.list[sender.place] = s.list[last]
	s.list[sender.place].place = sender.place
	s.list[last] = nil
	s.list = s.list[:last]
	delete(s.byTag, sender.tag)
}

// keep puts an entry among the newest two by its serial, and returns the one that
// it displaces, nil for none. ok is false when both are newer: then the vouch came
// late, or again.
func (s *groupSender) keep(e *groupEntry) (displaced *groupEntry, ok bool) {
	first, second := s.salts[0], s.salts[1]
	switch {
	case first == nil || e.serial > first.serial:
		s.salts = [2]*groupEntry{e, first}
	case e.serial < first.serial && (second == nil || e.serial > second.serial):
		s.salts[1] = e
	default:
		return nil, false
	}
	return second, true
}

// forget removes one of the two entries.
func (s *groupSender) forget(e *groupEntry) {
	if s.salts[0] == e {
		s.salts[0] = s.salts[1]
		s.salts[1] = nil
	} else if s.salts[1] == e {
		s.salts[1] = nil
	}
}

// over reports whether a sender may be forgotten: it was not heard of for 12
// minutes, and the time is over in which a salt of its clock would be taken for a
// new one.
func (s *groupSender) over(now time.Time) bool {
	return now.Sub(s.used) > saltAcceptance && now.Sub(s.newest) > saltAcceptance
}

// Vouch records that the sender with the X25519 static key from vouched for a salt
// inside a pair session, and reports whether the salt counts. Its two salts with
// the highest serials do; what one displaces is refused from then on. A salt that
// names another sender is refused, so nobody vouches for what is another's. Counters
// below v.Lowest are refused unless they were taken before.
func (g *GroupReceiver) Vouch(now time.Time, from [32]byte, v GroupVouch) bool {
	k := groupSalt{v.Salt, v.KI, v.XF}
	if !g.names(&k, from) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[k]
	if e != nil && e.standing == vouched {
		e.used, e.sender.used = now, now
		return true
	}
	sender, idle := g.senders.add(now, from, k.sender())
	g.dropSalts(idle)
	if sender == nil {
		return false
	}
	kept := &groupEntry{key: k, standing: vouched, sender: sender, serial: v.Serial, lowest: v.Lowest, used: now}
	displaced, ok := sender.keep(kept)
	if !ok {
		return false
	}
	if displaced != nil {
		delete(g.entries, displaced.key)
	}
	if e != nil { // it has opened packets
		kept.aead, kept.ready, kept.window = e.aead, e.ready, e.window
		g.places.leave(e)
	} else {
		kept.window = makeWindow(windowBits)
	}
	g.entries[k] = kept
	sender.used = now
	if t := k.time(); t.After(sender.newest) {
		sender.newest = t
	}
	return true
}

// names reports whether a salt names the sender with that static key. The tag is
// derived once for each sender, and without the lock.
func (g *GroupReceiver) names(k *groupSalt, static [32]byte) bool {
	g.mu.Lock()
	sender, community := g.senders.byTag[k.sender()], g.community
	g.mu.Unlock()
	if sender != nil {
		return sender.static == static
	}
	return k.sender() == community.SenderTag(static)
}

// dropSalts deletes the entries of a sender that was forgotten; nil is none.
func (g *GroupReceiver) dropSalts(sender *groupSender) {
	if sender == nil {
		return
	}
	for _, e := range sender.salts {
		if e != nil {
			delete(g.entries, e.key)
		}
	}
}

// sweepSenders sweeps the senders from at on, and reports whether there are more
// behind them.
func (g *GroupReceiver) sweepSenders(now time.Time, at int) (more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := min(at+sweepStep, len(g.senders.list)) - 1; i >= at; i-- {
		if sender := g.senders.list[i]; sender.over(now) {
			g.senders.remove(sender)
			g.dropSalts(sender)
		}
	}
	return at+sweepStep < len(g.senders.list)
}

// Vouched reports whether a sender vouched for a salt, and it still counts.
func (g *GroupReceiver) Vouched(from [32]byte, ki, xf uint8, salt [16]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[groupSalt{salt, ki, xf}]
	return e != nil && e.standing == vouched && e.sender.static == from
}
