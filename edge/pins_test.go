package edge

import (
	"encoding/json"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestPins checks whose a hardware address is, by the rule of membership.
func TestPins(t *testing.T) {
	c := testCommunity()
	cid := c.ID()
	one, two := [32]byte(testIdentity(1).ID), [32]byte(testIdentity(2).ID)
	derived := protocol.MAC(testIdentity(1).MAC(cid))
	for _, members := range []crypto.Members{crypto.MembersTOFU, crypto.MembersOpen, crypto.MembersList} {
		c.Members = members
		open := members == crypto.MembersOpen
		s, _ := loadState("", noon, quiet)
		p := pins{state: s, cid: cid, admission: new(admission)}
		if !p.derived(derived, one) || p.derived(derived, two) || p.derived(host(1), one) {
			t.Fatal("derived addresses")
		}
		if !p.allow(host(1), one, c) || !p.allow(host(1), two, c) || len(s.saved.Pins) != 0 {
			t.Errorf("%v: asking pins", members)
		}
		p.keep(noon, host(1), one, c)
		p.keep(noon, host(1), two, c) // too late
		if !p.allow(host(1), one, c) || p.allow(host(1), two, c) != open {
			t.Errorf("%v: the first one does not have it", members)
		}
		p.keep(noon, derived, two, c)
		if !p.allow(derived, one, c) {
			t.Errorf("%v: a derived address was refused to its owner", members)
		}
		p.keep(noon, derived, one, c)
		if p.allow(derived, two, c) != open {
			t.Errorf("%v: a derived address stayed with another", members)
		}
		if s.dirty == open {
			t.Errorf("%v: dirty %v", members, s.dirty)
		}
	}
}

// TestPinsBound fills the pins with newcomers: the one whose pin ends first goes, which
// is none of a member that was here for days. A derived address needs no room.
func TestPinsBound(t *testing.T) {
	c := testCommunity()
	s, _ := loadState("", noon, quiet)
	p := pins{state: s, cid: c.ID(), admission: new(admission)}
	member, now := [32]byte{1}, noon
	for range 12 * 24 {
		p.keep(now, host(1), member, c)
		now = now.Add(time.Hour)
	}
	now = now.Add(60 * 24 * time.Hour) // it is away
	for n := range 2*maxPins + 5 {
		p.keep(now.Add(time.Duration(n)*time.Second), manyHosts(n), [32]byte{2, byte(n), byte(n >> 8)}, c)
		if len(s.saved.Pins) > maxPins {
			t.Fatalf("%d pins", len(s.saved.Pins))
		}
	}
	if p.allow(host(1), [32]byte{3}, c) || !p.allow(host(1), member, c) {
		t.Error("newcomers have pushed out a member's pin")
	}
	if last := manyHosts(2*maxPins + 4); p.allow(last, [32]byte{3}, c) {
		t.Error("a full table takes no more")
	}
	id := testIdentity(1)
	if !p.allow(protocol.MAC(id.MAC(p.cid)), [32]byte(id.ID), c) {
		t.Error("a derived address needs no room")
	}
}

// TestPinsEnd holds for how long an address is kept for an identity that has gone.
func TestPinsEnd(t *testing.T) {
	for _, c := range []struct {
		here, life time.Duration
	}{{0, pinLeast}, {5 * time.Minute, pinLeast}, {time.Hour, pinGrowth * time.Hour}, {10 * 24 * time.Hour, 80 * 24 * time.Hour}, {400 * 24 * time.Hour, pinMost}} {
		community := testCommunity()
		s, _ := loadState("", noon, quiet)
		p := pins{state: s, cid: community.ID(), admission: new(admission)}
		last := noon
		for at := time.Duration(0); at <= c.here; at += 5 * time.Minute {
			s.dirty = false
			p.keep(noon.Add(at), host(1), [32]byte{1}, community)
			if s.dirty {
				last = noon.Add(at)
			}
		}
		if gap := noon.Add(c.here).Sub(last); gap >= pinFresh {
			t.Errorf("here for %v: last seen %v ago", c.here, gap)
		}
		life := min(max(pinGrowth*last.Sub(noon), pinLeast), pinMost)
		p.aged(last.Add(life))
		if p.allow(host(1), [32]byte{2}, community) {
			t.Errorf("here for %v: forgotten too early", c.here)
		}
		p.aged(last.Add(life + time.Second))
		if !p.allow(host(1), [32]byte{2}, community) || len(s.saved.Pins) != 0 || life > c.life {
			t.Errorf("here for %v: kept for more than %v", c.here, c.life)
		}
	}
}

// TestPinsOfBefore reads pins that have no times: they live on as those of members that
// have been here for long.
func TestPinsOfBefore(t *testing.T) {
	c := testCommunity()
	s, _ := loadState("", noon, quiet)
	p := pins{state: s, cid: c.ID(), admission: new(admission)}
	if err := json.Unmarshal([]byte(`{"pins":{"`+host(1).String()+`":"`+pinText([32]byte{1})+`"}}`), &s.saved); err != nil {
		t.Fatal(err)
	}
	p.aged(noon)
	if want := (pin{ID: pinText([32]byte{1}), First: noon.Add(-pinMost / pinGrowth).Unix(), Last: noon.Unix()}); s.saved.Pins[host(1).String()] != want || !s.dirty {
		t.Errorf("%+v", s.saved.Pins)
	}
	p.aged(noon.Add(pinMost))
	if p.allow(host(1), [32]byte{2}, c) {
		t.Error("it has ended too early")
	}
}

// TestPinsWithoutClock starts a router without a clock of its own: until the network has
// set its clock no pin is shortened, and one that is made meanwhile lives as long as any
// newcomer's.
func TestPinsWithoutClock(t *testing.T) {
	dir := t.TempDir()
	built := noon.AddDate(0, -1, 0)
	start := func(offset time.Duration) *testEdge {
		return newEdge(t, func(c *Config) { inDir(dir)(c); c.Host.Build, c.Host.ClockOffset = built, offset })
	}
	e := start(0)
	member, newcomer := e.introduced(2), e.introduced(3)
	old := pin{ID: pinText(member.identity.statement.ID), First: noon.AddDate(0, -5, 0).Unix(), Last: noon.AddDate(0, 0, -3).Unix()}
	e.state.saved.Pins[host(1).String()] = old
	e.state.keepNow()

	e = start(-50 * 365 * 24 * time.Hour)
	e.peers.pins.aged(e.peers.rightClock(noon))
	e.peers.pins.keep(e.peers.rightClock(noon), host(1), member.identity.statement.ID, e.cfg.Community)
	e.peers.pins.keep(e.peers.rightClock(noon), host(2), newcomer.identity.statement.ID, e.cfg.Community)
	e.keepState(noon)
	if got := e.state.saved.Pins[host(1).String()]; got != old {
		t.Errorf("%+v became %+v", old, got)
	}
	e.state.keepNow()

	e = start(0) // or the clock is set
	e.keepState(noon)
	e.peers.pins.keep(noon, host(2), newcomer.identity.statement.ID, e.cfg.Community)
	p := e.peers.pins
	if p.allow(host(1), [32]byte{9}, e.cfg.Community) || p.allow(host(2), [32]byte{9}, e.cfg.Community) {
		t.Error("a pin ended when the clock was set")
	}
	if got := e.state.saved.Pins[host(2).String()].ends(); got != noon.Add(pinLeast).Unix() {
		t.Errorf("a newcomer's pin ends %v from now", time.Unix(got, 0).Sub(noon))
	}
}
