package edge

import (
	"testing"
	"time"

	"hedgerow/edge/dataplane"
)

// TestPromote follows sessions through the three places that a peer has for
// them.
func TestPromote(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	one, two, three := e.session(p, noon, 1, true), e.session(p, noon.Add(1), 2, false), e.session(p, noon.Add(2), 3, true)
	s, d := &p.sessions, e.data.draft
	for i, step := range []struct {
		do                      func()
		current, previous, next *dataplane.Session
		sealing                 *dataplane.Session
	}{
		{func() {}, nil, nil, nil, nil},
		{func() { s.answer(noon, one, d) }, nil, nil, one, nil},
		{func() { s.promote(one, d) }, one, nil, nil, one},
		{func() { s.promote(one, d) }, one, nil, nil, one},
		{func() { s.answer(noon, two, d) }, one, nil, two, one},
		{func() { s.retire() }, one, nil, two, nil},
		{func() { s.promote(two, d) }, two, one, nil, two},
		{func() { s.next = one }, two, one, one, two},
		{func() { s.promote(three, d) }, three, two, one, three},
		{func() { s.clear(d) }, nil, nil, nil, nil},
	} {
		step.do()
		if s.current != step.current || s.previous != step.previous || s.next != step.next {
			t.Errorf("step %d: %+v %+v %+v", i, s.current, s.previous, s.next)
		}
		if got := s.sealing(); (got == nil) != (step.sealing == nil) || got != nil && got != step.sealing.Crypto() {
			t.Errorf("step %d: seals under another session", i)
		}
		all := sessionsOf(s)
		if s.none() != (all == 0) || s.idle() != (all == 0) {
			t.Errorf("step %d: none %v", i, s.none())
		}
		if got := d.SessionCount(); got != all && i < 7 { // then one is in two places
			t.Errorf("step %d: the queues open %d sessions, not %d", i, got, all)
		}
	}
	if d.SessionCount() != 0 {
		t.Errorf("%d sessions are opened at the end", d.SessionCount())
	}
}

// sessionsOf returns how many sessions there are with a peer.
func sessionsOf(s *pairSessions) (n int) {
	for _, e := range []*dataplane.Session{s.current, s.previous, s.next} {
		if e != nil {
			n++
		}
	}
	return n
}

// TestSessionDeadlines holds when each session wants attention.
func TestSessionDeadlines(t *testing.T) {
	e := newEdge(t, nil)
	p, d := e.introduced(2), e.data.draft
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		name string
		make func(s *pairSessions)
		want time.Time
	}{
		{"none", func(*pairSessions) {}, time.Time{}},
		{"initiator", func(s *pairSessions) { s.promote(e.session(p, noon, 1, true), d) }, at(rekeyAfter)},
		{"responder", func(s *pairSessions) { s.promote(e.session(p, noon, 1, false), d) }, at(rekeyAfter + rekeyPassive)},
		{"not in use", func(s *pairSessions) {
			s.promote(e.session(p, noon, 1, true), d)
			s.renewAt = time.Time{}
		}, at(sealFor)},
		{"for receiving only", func(s *pairSessions) {
			s.promote(e.session(p, noon, 1, true), d)
			s.renewAt = time.Time{}
			s.retire()
		}, at(rejectAfter)},
		{"previous", func(s *pairSessions) {
			s.promote(e.session(p, noon, 1, true), d)
			s.promote(e.session(p, at(100*time.Second), 2, true), d)
		}, at(rejectAfter)},
		{"unconfirmed", func(s *pairSessions) {
			s.promote(e.session(p, noon, 1, true), d)
			s.answer(at(time.Second), e.session(p, noon, 2, false), d)
		}, at(time.Second + confirmWithin)},
	} {
		var s pairSessions
		c.make(&s)
		if got := s.deadline(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSessionsExpire lets the timers of a peer's sessions run at exact times.
func TestSessionsExpire(t *testing.T) {
	for _, c := range []struct {
		name                    string
		at                      time.Duration
		used                    time.Duration // of the last frame
		current, previous, next bool
		sealing, renewing       bool
	}{
		{"young", confirmWithin - 1, 0, true, true, true, true, false},
		{"next is not confirmed", confirmWithin, 0, true, true, false, true, false},
		{"previous is old", 80 * time.Second, 0, true, false, false, true, false},
		{"just before renewal", rekeyAfter - 1, rekeyAfter - 1, true, false, false, true, false},
		{"renewal in use", rekeyAfter, rekeyAfter - inUse + 1, true, false, false, true, true},
		{"renewal without use", rekeyAfter, rekeyAfter - inUse, true, false, false, true, false},
		{"just before it is only received", sealFor - 1, 0, true, false, false, true, false},
		{"only received", sealFor, 0, true, false, false, false, false},
		{"just before the end", rejectAfter - 1, 0, true, false, false, false, false},
		{"the end", rejectAfter, rejectAfter, false, false, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdge(t, nil)
			p := e.introduced(2)
			s := &p.sessions
			e.promote(p, e.session(p, noon.Add(-100*time.Second), 1, true))
			e.promote(p, e.session(p, noon, 2, true))
			s.answer(noon, e.session(p, noon, 3, false), e.data.draft)
			e.paths.routing.start(noon, p)
			e.settle(noon)
			if c.used != 0 {
				p.view.SetUsed(int64(c.used))
			}
			e.pass(noon.Add(c.at))
			if got := [3]bool{s.current != nil, s.previous != nil, s.next != nil}; got != [3]bool{c.current, c.previous, c.next} {
				t.Errorf("current, previous, next: %v", got)
			}
			if sealing := s.sealing() != nil; sealing != c.sealing || (p.view.Route().Session != nil) != sealing {
				t.Errorf("sealing %v, route %+v", sealing, p.view.Route())
			}
			if s.init.active() != c.renewing {
				t.Errorf("renewing %v", s.init.active())
			}
			if (p.reach.path != nil) != c.current {
				t.Errorf("path %v", p.reach.path)
			}
			if got, want := e.data.draft.SessionCount(), sessionsOf(s); got != want {
				t.Errorf("%d sessions in the table, want %d", got, want)
			}
			if next := e.sessions.deadline(); !next.IsZero() && !next.After(noon.Add(c.at)) {
				t.Errorf("looks again at %v", next)
			}
		})
	}
}
