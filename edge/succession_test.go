package edge

import (
	"testing"
	"time"

	"hedgerow/protocol"
)

// says returns a SEGMENT.
func says(serial uint64, state protocol.SegmentState, members ...protocol.SegmentMember) []byte {
	return (&protocol.Segment{Serial: serial, State: state, Members: members}).Append(nil)
}

// contested is an edge that knows two bridges: one with hosts behind it, and one that is
// to succeed it.
type contested struct {
	*testServer
	old, heir *peer
}

// contest makes heir and another peer bridges. The other one forwards, has a host behind
// it, and has named the heir if that is named.
func contest(v *testServer, heir *peer, named bool) contested {
	c := contested{v, v.met(3, "old"), heir}
	for _, p := range []*peer{c.old, c.heir} {
		p.view.SetFeatures(protocol.FeatureBridge | protocol.FeatureHosts)
		v.peers.mark(p)
	}
	v.settle(noon)
	var members []protocol.SegmentMember
	if named {
		members = append(members, protocol.SegmentMember{Role: protocol.RoleNeighbour, Static: heir.view.Static()})
	}
	c.says(noon, c.old, 1, protocol.SegmentForwarding, members...)
	c.learn(c.old, protocol.MAC{2, 9})
	return c
}

// says has a peer say something of its segment.
func (c contested) says(now time.Time, p *peer, serial uint64, state protocol.SegmentState, members ...protocol.SegmentMember) {
	m, err := protocol.ParseSegment(says(serial, state, members...)[3:])
	if err != nil {
		c.tb.Fatal(err)
	}
	c.paths.successions.handle(now, p, m)
	c.settle(now)
}

// learn has a host speak from behind a peer.
func (c contested) learn(p *peer, host protocol.MAC) {
	frame := append(append(append([]byte{0}, protocol.Broadcast[:]...), host[:]...), 0x88, 0xb6, 0, 0)
	c.data.plane.Deliver(noon, c.device, p.view, frame, true)
}

// check fails the test unless so many hosts are behind the two.
func (c contested) check(t *testing.T, what string, old, heir int) {
	t.Helper()
	if o, h := c.data.plane.Stations().Hosts(c.old.view), c.data.plane.Stations().Hosts(c.heir.view); o != old || h != heir {
		t.Errorf("%s: %d hosts are behind the old bridge and %d behind the heir, want %d and %d", what, o, h, old, heir)
	}
}

// TestSuccession: hosts behind a bridge go to another one that says it has succeeded it
// only if the old one had named that, and then by its own word or because it is silent.
func TestSuccession(t *testing.T) {
	for what, test := range map[string]struct {
		named     bool
		happens   func(c contested)
		old, heir int
	}{
		"it is silent":             {true, func(contested) {}, 0, 1},
		"it did not name the heir": {false, func(contested) {}, 1, 0},
		"it forwards":              {true, func(c contested) { c.says(noon.Add(100*time.Millisecond), c.old, 1, protocol.SegmentForwarding) }, 1, 0},
		"it is on no segment":      {true, func(c contested) { c.says(noon.Add(100*time.Millisecond), c.old, 2, protocol.SegmentAway) }, 0, 0},
		"it is heard and says nothing": {true, func(c contested) {
			c.old.view.SetHeard(c.data.plane.Since(noon.Add(time.Second / 2)))
		}, 1, 0},
	} {
		v := registered(t, withTransports)
		c := contest(v, v.met(2, "roof"), test.named)
		c.check(t, what+", before", 1, 0)
		c.says(noon, c.heir, 1, protocol.SegmentForwarding, protocol.SegmentMember{Role: protocol.RoleSucceeded, Static: c.old.view.Static()})
		test.happens(c)
		for at := time.Duration(0); at < 2*successionMost; at += 50 * time.Millisecond {
			c.tick(noon.Add(at))
		}
		c.check(t, what, test.old, test.heir)
		if n := len(c.paths.successions.asking); n != 0 {
			t.Errorf("%s: %d questions are open", what, n)
		}
	}
}

// TestHostsOfAStandby: a bridge gives its own hosts to the one that it stands by for, as
// soon as that says that it forwards, and nobody else's.
func TestHostsOfAStandby(t *testing.T) {
	v := registered(t, withTransports)
	c := contest(v, v.met(2, "roof"), true)
	to := protocol.SegmentMember{Role: protocol.RoleForwarder, Static: c.heir.view.Static()}
	c.says(noon, c.heir, 1, protocol.SegmentStandby, protocol.SegmentMember{Role: protocol.RoleForwarder, Static: c.old.view.Static()})
	c.check(t, "the heir stands by", 1, 0)
	c.says(noon, c.old, 2, protocol.SegmentStandby, to)
	c.check(t, "both stand by", 1, 0)
	c.says(noon, c.heir, 2, protocol.SegmentForwarding, protocol.SegmentMember{Role: protocol.RoleNeighbour, Static: c.old.view.Static()})
	c.check(t, "the heir forwards", 0, 1)
	c.learn(c.old, protocol.MAC{2, 10})
	unknown := protocol.SegmentMember{Role: protocol.RoleForwarder, Static: [32]byte{1}}
	c.says(noon, c.old, 3, protocol.SegmentStandby, unknown)
	c.check(t, "for somebody unknown", 0, 1)

	c.learn(c.old, protocol.MAC{2, 11})
	c.paths.successions.handle(noon, c.old, protocol.Segment{Serial: 4, State: protocol.SegmentForwarding, Forget: true})
	c.check(t, "its segment came apart", 0, 1)
	c.learn(c.old, protocol.MAC{2, 12})
	c.paths.successions.handle(noon, c.old, protocol.Segment{Serial: 4, State: protocol.SegmentForwarding, Forget: true})
	c.check(t, "it says so again", 1, 1)
}
