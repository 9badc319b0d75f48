package edge

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// bridging makes the edge a bridge, with a number if it is not 0.
func bridging(n byte) func(*Config) {
	return func(c *Config) {
		if n != 0 {
			another(n)(c)
		}
		c.Ethernet.Bridge = true
	}
}

// lan are bridges whose devices are on one segment.
type lan struct {
	*testing.T
	edges []*testEdge
	now   time.Time
	cut   bool // nobody hears anybody
}

// run lets time pass: each edge does what is due, and hears the probes of the others.
func (l *lan) run(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(10 * time.Millisecond) {
		for _, e := range l.edges {
			e.pass(l.now)
			for _, frame := range e.device.take() {
				for _, other := range l.edges {
					if other != e && !l.cut && other.data.plane.Gate().Hear(1, frame) == nil {
						other.handle(l.now, dataplane.ProbeHeard{Frame: frame})
					}
				}
			}
		}
	}
}

func (l *lan) states() (list []string) {
	for _, e := range l.edges {
		list = append(list, e.status(l.now).Ethernet.Segment.State)
	}
	return list
}

func (l *lan) check(want ...string) {
	l.Helper()
	if got := l.states(); !slices.Equal(got, want) {
		l.Fatalf("the bridges are %v, want %v", got, want)
	}
	for i, e := range l.edges {
		if open := e.data.plane.Gate().Open(); open != (want[i] == "forwarding") {
			l.Errorf("bridge %d is %v, and its gate is open: %v", i, want[i], open)
		}
	}
}

// TestSegment: of two bridges on one segment one forwards, and each says so in status and
// to the user.
func TestSegment(t *testing.T) {
	l := &lan{T: t, now: noon, edges: []*testEdge{newEdge(t, bridging(0)), newEdge(t, func(c *Config) {
		bridging(7)(c)
		c.Ethernet.Priority = 5
	})}}
	l.check("listening", "listening")
	l.run(5 * time.Second)
	l.check("standby", "forwarding")
	name := l.edges[1].cfg.Identity.ShortID()
	st := l.edges[0].status(l.now)
	if s := st.Ethernet.Segment; s.Forwarder != name || !slices.Equal(s.Bridges, []string{name}) || s.Priority != DefaultPriority || len(besides(st.Notes)) != 0 {
		t.Errorf("%+v, notes %v", st.Ethernet.Segment, st.Notes)
	}
	var said []string
	for _, ev := range l.edges[0].reported {
		if ev.Kind == control.EventSegment {
			said = append(said, ev.Text)
		}
	}
	if want := []string{"listening", "standby: " + name + " forwards"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	l.edges[1].paths.segment.goodbye(l.now)
	farewell := l.edges[1].device.take()
	l.edges = l.edges[:1]
	l.edges[0].handle(l.now, dataplane.ProbeHeard{Frame: farewell[0]})
	l.check("forwarding")
}

// TestSegmentTold: members with a session are told what changes, at once and again.
func TestSegmentTold(t *testing.T) {
	a, b := newEdge(t, bridging(0)), newEdge(t, bridging(7))
	(*networkObserver)(a.Edge).MetOnLAN(noon, b.self.statement, b.conn.addr)
	a.settle(noon)
	for range 3 {
		carry(noon, a, b)
		carry(noon, b, a)
	}
	(*networkObserver)(b.Edge).MetOnLAN(noon, a.self.statement, a.conn.addr)
	b.settle(noon)
	l := &lan{T: t, now: noon, edges: []*testEdge{a, b}, cut: true}
	exchange := func(d time.Duration) {
		for end := l.now.Add(d); l.now.Before(end); {
			l.run(10 * time.Millisecond)
			carry(l.now, a, b)
			carry(l.now, b, a)
		}
	}
	exchange(4 * time.Second)
	l.check("forwarding", "forwarding")
	toA := b.peers.byStatic[a.self.identity.Static]
	if toA.reach.segment.state != protocol.SegmentForwarding || len(toA.reach.segment.neighbours) != 0 {
		t.Fatalf("b was told %+v", toA.reach.segment)
	}
	l.cut = false
	exchange(4 * time.Second)
	first, second := a, b
	if bridge.Compare(a.paths.segment.machine.Rank(), b.paths.segment.machine.Rank()) > 0 {
		first, second = b, a
	}
	toFirst, toSecond := second.peers.byStatic[first.self.identity.Static], first.peers.byStatic[second.self.identity.Static]
	if toFirst.reach.segment.state != protocol.SegmentForwarding || !slices.Contains(toFirst.reach.segment.neighbours, second.self.identity.Static) ||
		toSecond.reach.segment.state != protocol.SegmentStandby || toSecond.reach.segment.forwarder != first.self.identity.Static {
		t.Errorf("told %+v and %+v", toFirst.reach.segment, toSecond.reach.segment)
	}
}

// TestForgedProbes: a probe counts only if its identity signed it and, where the holder of
// its static key has proved to be somebody, if that is it, and not from before its start.
func TestForgedProbes(t *testing.T) {
	v := registered(t, func(c *Config) {
		withTransports(c)
		c.Ethernet.Bridge = true
	})
	p := v.met(2, "roof")
	v.peers.byStatic[p.view.Static()].identity.proven = true
	key := v.cfg.Community.ProbeKey(v.cfg.Community.Epochs[0])
	make := func(n byte, boot uint64, change func(*bridge.Prober, *protocol.Probe)) []byte {
		id := testIdentity(n)
		s := bridge.Prober{Identity: id, CID: v.self.cid, Tag: v.cfg.Community.Tag(), Boot: boot}
		probe := protocol.Probe{State: protocol.ProbeForwarding, Rank: protocol.ProbeRank{ID: [32]byte(id.ID)}}
		change(&s, &probe)
		return s.Frame(probe, v.cfg.Community.Epochs[0].Index, key)
	}
	nothing := func(*bridge.Prober, *protocol.Probe) {}
	thief := *testIdentity(9)
	thief.Static = p.view.Static()
	seq := p.identity.statement.Seq
	for _, c := range []struct {
		what  string
		frame []byte
		known int
	}{
		{"another's identity", make(9, 1, func(_ *bridge.Prober, q *protocol.Probe) { q.Rank.ID = [32]byte(testIdentity(2).ID) }), 0},
		{"another's static key", make(9, 1, func(s *bridge.Prober, _ *protocol.Probe) { s.Identity = &thief }), 0},
		{"of an earlier start", make(2, seq-1, nothing), 0},
		{"signed for another community", make(2, seq, func(s *bridge.Prober, _ *protocol.Probe) { s.CID[0]++ }), 0},
		{"right", make(2, seq, nothing), 1},
		{"of a member that is not known", make(8, 1, nothing), 2},
	} {
		v.handle(noon, dataplane.ProbeHeard{Frame: c.frame})
		if n := len(v.paths.segment.machine.Neighbours(noon)); n != c.known {
			t.Errorf("%s: %d bridges are known", c.what, n)
		}
	}
	if n := v.drops()["probe"]; n != 4 {
		t.Errorf("%d are refused", n)
	}
	if crypto.VerifyProbe([32]byte{}, v.self.cid, nil, [64]byte{}) {
		t.Error("a key of small order signs")
	}
}

// TestDeviceTakesNothing: a bridge whose device is down passes nothing, says so, and
// listens again when it is up.
func TestDeviceTakesNothing(t *testing.T) {
	e := newEdge(t, bridging(0))
	l := &lan{T: t, now: noon, edges: []*testEdge{e}}
	l.run(3 * time.Second)
	l.check("forwarding")
	e.device.err = errors.New("it is down")
	l.run(time.Second)
	l.check("away")
	if st := e.status(l.now); len(besides(st.Notes)) != 1 || !strings.Contains(st.Notes[0], "E28") {
		t.Errorf("notes %q", st.Notes)
	}
	e.device.err = nil
	l.run(time.Second)
	l.check("listening")
	l.run(2 * time.Second)
	l.check("forwarding")
	e.paths.segment.setOutside(l.now, true)
	l.check("away")
	l.run(5 * time.Second)
	l.check("away")
	e.paths.segment.setOutside(l.now, false)
	l.run(3 * time.Second)
	l.check("forwarding")
	renewEverything(e.Edge, l.now)
	l.check("listening")
}

// TestReflected: our own probes that come back are a note for the user.
func TestReflected(t *testing.T) {
	e := newEdge(t, bridging(0))
	l := &lan{T: t, now: noon, edges: []*testEdge{e}}
	e.pass(l.now)
	frames := e.device.take()
	if len(frames) == 0 || e.data.plane.Gate().Hear(e.data.plane.Since(l.now), frames[0]) == nil {
		t.Fatalf("%d frames", len(frames))
	}
	if st := e.status(l.now); len(besides(st.Notes)) != 1 || !strings.Contains(st.Notes[0], "E29") {
		t.Errorf("notes %q", st.Notes)
	}
	if st := e.status(l.now.Add(time.Minute)); len(besides(st.Notes)) != 0 {
		t.Errorf("a minute later: notes %q", st.Notes)
	}
}

// besides returns notes without the one that there is no supernode in this test.
func besides(notes []string) []string {
	return slices.DeleteFunc(slices.Clone(notes), func(n string) bool { return strings.HasPrefix(n, "no supernode is reached") })
}
