package edge

import (
	"slices"
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
	s := &p.sessions
	for i, step := range []struct {
		do                      func()
		current, previous, next *dataplane.Session
		sealing                 *dataplane.Session
	}{
		{func() {}, nil, nil, nil, nil},
		{func() { s.next = one }, nil, nil, one, nil},
		{func() { s.promote(one) }, one, nil, nil, one},
		{func() { s.promote(one) }, one, nil, nil, one},
		{func() { s.next = two }, one, nil, two, one},
		{func() { s.retire() }, one, nil, two, nil},
		{func() { s.promote(two) }, two, one, nil, two},
		{func() { s.next = one }, two, one, one, two},
		{func() { s.promote(three) }, three, two, one, three},
	} {
		step.do()
		if s.current != step.current || s.previous != step.previous || s.next != step.next {
			t.Errorf("step %d: %+v", i, *s)
		}
		if got := s.sealing(); (got == nil) != (step.sealing == nil) || got != nil && got != step.sealing.Crypto() {
			t.Errorf("step %d: seals under another session", i)
		}
		var all []*dataplane.Session
		s.each(func(e *dataplane.Session) { all = append(all, e) })
		if want := slices.DeleteFunc([]*dataplane.Session{step.current, step.previous, step.next}, func(e *dataplane.Session) bool { return e == nil }); !slices.Equal(all, want) {
			t.Errorf("step %d: each sees %d sessions", i, len(all))
		}
		if s.none() != (len(all) == 0) {
			t.Errorf("step %d: none %v", i, s.none())
		}
	}
}

// TestSessionDeadlines holds when each session wants attention.
func TestSessionDeadlines(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		name string
		make func(s *sessions)
		want time.Time
	}{
		{"none", func(*sessions) {}, time.Time{}},
		{"initiator", func(s *sessions) { s.promote(e.session(p, noon, 1, true)) }, at(rekeyAfter)},
		{"responder", func(s *sessions) { s.promote(e.session(p, noon, 1, false)) }, at(rekeyAfter + rekeyPassive)},
		{"not in use", func(s *sessions) {
			s.promote(e.session(p, noon, 1, true))
			s.renewAt = time.Time{}
		}, at(sealFor)},
		{"for receiving only", func(s *sessions) {
			s.promote(e.session(p, noon, 1, true))
			s.renewAt = time.Time{}
			s.retire()
		}, at(rejectAfter)},
		{"previous", func(s *sessions) {
			s.promote(e.session(p, noon, 1, true))
			s.promote(e.session(p, at(100*time.Second), 2, true))
		}, at(rejectAfter)},
		{"unconfirmed", func(s *sessions) {
			s.promote(e.session(p, noon, 1, true))
			s.next, s.since = e.session(p, noon, 2, false), at(time.Second)
		}, at(time.Second + confirmWithin)},
	} {
		var s sessions
		c.make(&s)
		if got := s.deadline(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSessionsExpire ticks a peer at exact times.
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
			s.promote(e.session(p, noon.Add(-100*time.Second), 1, true))
			s.promote(e.session(p, noon, 2, true))
			s.next, s.since = e.session(p, noon, 3, false), noon
			e.startPath(noon, p)
			e.reroute(noon, p)
			if c.used != 0 {
				p.view.SetUsed(int64(c.used))
			}
			e.tickSessions(noon.Add(c.at), p)
			if got := [3]bool{s.current != nil, s.previous != nil, s.next != nil}; got != [3]bool{c.current, c.previous, c.next} {
				t.Errorf("current, previous, next: %v", got)
			}
			if sealing := s.sealing() != nil; sealing != c.sealing || (p.view.Route().Session != nil) != sealing {
				t.Errorf("sealing %v, route %+v", sealing, p.view.Route())
			}
			if p.handshake.active != c.renewing {
				t.Errorf("renewing %v", p.handshake.active)
			}
			if (p.path != nil) != c.current {
				t.Errorf("path %v", p.path)
			}
			e.publish(noon)
			want := 0
			s.each(func(*dataplane.Session) { want++ })
			if got := e.draft.SessionCount(); got != want {
				t.Errorf("%d sessions in the table, want %d", got, want)
			}
		})
	}
}

// TestWornSession renews a session whose numbers run out, whether it is in
// use or not and however young it is.
func TestWornSession(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Community.Epochs[0].Transform = "aes-256-gcm" })
	e.features = 0
	p := e.introduced(2)
	p.sessions.promote(e.session(p, noon, 1, true))
	e.tickSessions(noon.Add(time.Second), p)
	if p.handshake.active {
		t.Fatal("renewed for no reason")
	}
	if _, err := p.sessions.current.Crypto().Reserve(1 << 28); err != nil {
		t.Fatal(err)
	}
	e.tickSessions(noon.Add(time.Second), p)
	if !p.handshake.active {
		t.Error("not renewed after 2^28 packets")
	}
}

// TestConfirm checks that only the session that waits for it is adopted by a
// packet, and that frames move to it then.
func TestConfirm(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	p.sessions.promote(e.session(p, noon, 1, true))
	p.sessions.next, p.sessions.since = e.session(p, noon, 2, false), noon
	next := p.sessions.next.Crypto()
	stranger := e.session(p, noon, 3, false).Crypto()
	e.handleEvent(noon, dataplane.Confirmed{Peer: p.view, Session: stranger})
	e.handleEvent(noon, dataplane.Confirmed{Peer: new(dataplane.Peer), Session: next})
	if p.sessions.next == nil {
		t.Fatal("adopted without a packet of it")
	}
	e.handleEvent(noon, dataplane.Confirmed{Peer: p.view, Session: next})
	if p.sessions.next != nil || p.sessions.current.Crypto() != next || p.view.Route().Session != next {
		t.Errorf("%+v", p.sessions)
	}
}
