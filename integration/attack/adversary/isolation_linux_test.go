package adversary_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/sim"
	"hedgerow/protocol"
)

// isolated makes the honest members hubs, and the edge and the hostile member leaves.
func isolated(c *sim.Crowd, cfg *edge.Config) {
	hubs := [][32]byte{[32]byte(c.Member(honestMember).Identity().ID), [32]byte(c.Member(relayedMember).Identity().ID)}
	named, err := crypto.ParseHubs(crypto.EncodeHubs(hubs))
	if err != nil {
		panic(err)
	}
	c.Community().Hubs = named
	cfg.Ethernet.Storm = -1 // storm control is not to be the reason why nothing comes
}

// leaks counts what the edge says to whom it may not: frames and floods for the hostile
// member, and floods that a supernode would carry to all.
func (e *ether) leaks() *int {
	n := new(int)
	note := func(typ protocol.Type, inner []byte) {
		if typ == protocol.TypeGroup || len(inner) > 0 && protocol.Kind(inner[0]>>6) != protocol.KindControl {
			*n++
		}
	}
	for _, m := range []*sim.CrowdMember{e.hostile, e.unmet} {
		m.Hear = func(got adversary.Heard, _ bool) { note(got.Header.Type, got.Inner) }
	}
	e.crowd.Hub().Relayed = func(handle uint32, _ []byte) {
		if handle == protocol.HandleAll {
			*n++
		}
	}
	return n
}

// TestIsolation has a leaf of an isolated community send another one 10,000 frames: in its
// session, directly and by the supernode, without a word who it is, as the leaf that it is,
// and as the hub that it is not; as floods of its own, and as such that a hub seems to have
// made, whose keys all members have. None is delivered, no host is learned, and what the
// other one sends comes to hubs alone.
func TestIsolation(t *testing.T) {
	newVerdicts(t).inChangedScene(isolated, func(s *edgeScene) {
		e := newEther(s)
		if e.hostile.Session == nil || e.reaches(e.hostile) {
			s.t.Error("a leaf has a session with another")
		}
		e.hostile, e.unmet = e.unmet, e.hostile // whoever has said that it is a leaf gets no further session
		own := e.hostile.Statement
		e.hostile.Hasty, e.unmet.Hasty = true, true
		leaks := e.leaks()
		frames := func(m *sim.CrowdMember, i int) protocol.Frame {
			dst := e.to(i)
			src := []protocol.MAC{e.hostile.MAC, e.honest.MAC, {2, 0xbb, 0, 0, byte(i >> 8), byte(i)}}[i/20%3]
			f := build(dst[:], src[:], []byte{0x88, 0xb5})
			if i/60%2 == 1 {
				f = slices.Insert(f, 12, 0x81, 0, 0, 5)
			}
			return f
		}
		const each = 2000
		s.crowd.Play(func() { s.crowd.Hub().TellOf(absentMember) })
		for _, c := range []struct {
			name      string
			statement []byte
			session   bool
		}{{"silent", nil, true}, {"as a hub", e.honest.Statement, true}, {"as a leaf", own, false}} {
			e.hostile.Statement = c.statement
			s.crowd.Play(e.hostile.MeetAgain)
			time.Sleep(5 * time.Second)
			if got := e.reaches(e.hostile); got != c.session {
				s.t.Errorf("%s: there is a session: %v, want %v", c.name, got, c.session)
			}
			if got := e.send(each, frames); got != 0 {
				s.t.Errorf("%s: %d of %d frames between leaves were delivered", c.name, got, each)
			}
		}
		e.hostile.Statement = own
		for name, m := range map[string]*sim.CrowdMember{"a hub": e.honest, "a relayed hub": s.crowd.Member(relayedMember)} {
			if got := e.forge(each, m, frames); got != 0 {
				s.t.Errorf("%d of %d floods in the name of %s were delivered", got, each, name)
			}
		}
		for i := range 100 {
			dst := []protocol.MAC{protocol.Broadcast, e.hostile.MAC, {2, 0xaa, 0, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 1}}[i%4]
			s.crowd.Inside(build(dst[:], s.crowd.MAC[:], []byte{0x88, 0xb5}, marker))
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		s.crowd.Play(func() {
			if *leaks != 0 {
				s.t.Errorf("%d packets with frames went where another leaf can read them", *leaks)
			}
		})
		if got := e.hosts(); got != 0 {
			s.t.Errorf("%d hosts were learned", got)
		}
		s.alive("isolation", "the frames") // hubs are heard and answered
		s.check("isolation", "the frames")
	})
}

// reaches reports whether the edge has a session with a member.
func (e *ether) reaches(m *sim.CrowdMember) bool {
	peers, err := e.crowd.Edge.Peers(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	return slices.ContainsFunc(peers, func(p control.Peer) bool { return p.MAC == m.MAC.String() && p.Path != control.PathNone })
}

// forge sends n floods under the key of another member, as anybody can make them who
// belongs to the community, and returns how many were delivered.
func (e *ether) forge(n int, as *sim.CrowdMember, frame func(m *sim.CrowdMember, i int) protocol.Frame) int {
	before := e.delivered.Load()
	for i := 0; i < n; i += batch {
		e.crowd.Play(func() {
			for k := i; k < min(n, i+batch); k++ {
				pkt, err := as.Flood(append(frame(as, k), marker...))
				[]*sim.CrowdMember{as, e.hostile}[k%2].Send(k/2%2 == 0, pkt, err)
			}
		})
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
	}
	return int(e.delivered.Load() - before)
}

// TestVLANList has a member send 10,000 frames of VLANs that the edge does not carry,
// by every path: none is delivered. Those of the VLANs that it carries are.
func TestVLANList(t *testing.T) {
	only := func(_ *sim.Crowd, cfg *edge.Config) {
		cfg.Ethernet.Filter.VLANs = new(bridge.VLANs)
		cfg.Ethernet.Filter.VLANs.Add(0)
		cfg.Ethernet.Filter.VLANs.Add(10)
		cfg.Ethernet.Storm = -1
	}
	newVerdicts(t).inChangedScene(only, func(s *edgeScene) {
		e := newEther(s)
		with := func(tags ...[]byte) func(m *sim.CrowdMember, i int) protocol.Frame {
			return func(m *sim.CrowdMember, i int) protocol.Frame {
				dst := e.to(i)
				return build(dst[:], m.MAC[:], tags[i/20%len(tags)], []byte{0x88, 0xb5})
			}
		}
		others := with([]byte{0x81, 0, 0, 20}, []byte{0x88, 0xa8, 0, 20}, []byte{0x81, 0, 0xe0, 1}, []byte{0x81, 0, 0x0f, 0xff},
			[]byte{0x81, 0, 0, 20, 0x81, 0, 0, 10}, []byte{0x88, 0xa8, 0x0f, 0xfe, 0x81, 0, 0, 10}, []byte{0x81, 0, 0x1f, 10})
		if got := e.send(10_000, others); got != 0 {
			s.t.Errorf("%d of 10000 frames of other VLANs were delivered", got)
		}
		if got := e.send(100, with(nil, []byte{0x81, 0, 0, 10}, []byte{0x88, 0xa8, 0xf0, 10}, []byte{0x81, 0, 0xe0, 0})); got < 80 { // those of who has no session wait for one
			s.t.Errorf("%d of 100 frames of the VLANs that are carried were delivered", got)
		}
		s.check("VLANs", "the frames")
	})
}
