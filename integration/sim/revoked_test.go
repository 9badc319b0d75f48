package sim

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/nattest"
	"hedgerow/supernode/admin"
)

// here reports whether an edge is registered with the supernode, in whatever community.
func (c *club) here(m *Edge) bool {
	id := hex.EncodeToString(m.Identity().ID)
	return slices.ContainsFunc(c.sn.Server.Edges([16]byte{}, 0).Edges, func(e admin.Edge) bool { return e.Identity == id })
}

// TestRevokedLearnsNothing: whoever was revoked and keeps all that he had, identity, keys and
// list, is let in by no supernode that has the newer list, with the authority in his file or
// without, meets nobody, and his old packets change nothing; a member that came after him is
// never known to him.
func TestRevokedLearnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClub(t, nattest.PortRestricted, 4, 3)
		a, gone, late := c.members[0], c.members[2], c.members[3]
		late.Stop()
		c.publish(a, false)
		time.Sleep(15 * time.Second)
		if !c.here(gone) || !c.reaches(a, gone) {
			t.Fatal("a member is not here")
		}
		tape := c.Record(5000)
		flows := c.flows([]int{0, 1, 2})
		send(flows, 20, 100*time.Millisecond)
		c.Net.Tap(nil)
		c.revoke(gone)
		c.entries = append(c.entries, entryOf(late, 0))
		c.publish(a, true)
		time.Sleep(time.Second)
		if c.here(gone) {
			t.Error("a second later the supernode has the revoked registered")
		}
		late.Start()
		time.Sleep(15 * time.Second)
		between := c.flows([]int{0, 1, 3})
		send(between, 20, 200*time.Millisecond)
		first := between[0].Len()
		gone.Stop()
		gone.Start()
		without := *c.Community
		without.Authority, without.Members = nil, crypto.MembersTOFU
		gone2 := c.Edge(gone.host, Options{Name: "without the authority", Supernodes: []*Supernode{c.sn}, Community: &without})
		for _, d := range tape.Take() {
			c.Net.Inject(d.From, d.To, d.Bytes)
		}
		send(between, 100, 200*time.Millisecond)
		c.whole("between members", first, between)
		for _, m := range []*Edge{a, c.members[1], late} {
			if c.reaches(m, gone) || c.reaches(m, gone2) {
				t.Errorf("%s has a session with the revoked", m.options.Name)
			}
		}
		for _, m := range []*Edge{gone, gone2} {
			peers, err := m.Edge.Peers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range peers {
				if p.MAC == late.MAC.String() {
					t.Errorf("%s knows of a member that came after it", m.options.Name)
				}
			}
		}
		if c.here(gone) {
			t.Error("the revoked is registered again")
		}
		if notes := strings.Join(gone.status().Notes, " "); !strings.Contains(notes, "this edge is no member by it") {
			t.Errorf("the revoked is told: %s", notes)
		}
		gone2.Stop()
		c.verify()
		c.end()
	})
}

// TestAbsentCatchesUpAlone: a member that was away, and one that has never had a list, get the
// newest one from the supernode while nobody else is up, also after that was started anew.
func TestAbsentCatchesUpAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClub(t, nattest.PortRestricted, 4, 4)
		away, never := c.members[2], c.members[3]
		never.Stop()
		c.publish(c.members[0], false)
		time.Sleep(15 * time.Second)
		away.Stop()
		c.publish(c.members[1], false)
		time.Sleep(5 * time.Second)
		c.members[0].Stop()
		c.members[1].Stop()
		c.sn.Kill()
		c.sn.Start()
		for _, m := range []*Edge{away, never} {
			m.Start()
			time.Sleep(15 * time.Second)
			if got := c.serial(m); got != 2 {
				t.Errorf("%s has list %d", m.options.Name, got)
			}
			if !c.here(m) {
				t.Errorf("%s is not registered", m.options.Name)
			}
			m.Stop()
		}
		c.sn.Stop()
		c.Close()
	})
}

// TestSupernodeWithOldList: a supernode that hands out an old list, as one that was restored
// from a backup or that lies, brings whoever was revoked to nobody, and members that come back
// give it the newer one.
func TestSupernodeWithOldList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClub(t, nattest.Symmetric, 3, 3)
		a, gone := c.members[0], c.members[2]
		c.publish(a, false)
		time.Sleep(15 * time.Second)
		restore := c.snapshot(c.sn.dir)
		c.revoke(gone)
		c.publish(a, true)
		time.Sleep(5 * time.Second)
		flows := c.flows([]int{0, 1})
		send(flows, 10, 100*time.Millisecond)
		c.sn.Stop()
		restore()
		gone.Stop()
		gone.Start()
		c.sn.Start()
		for range 40 {
			time.Sleep(500 * time.Millisecond)
			if c.reaches(a, gone) || c.reaches(c.members[1], gone) {
				t.Fatal("an old list brings the revoked to a member")
			}
			if c.serial(a) != 2 || c.serial(c.members[1]) != 2 {
				t.Fatal("a member has the old list")
			}
		}
		if c.here(gone) || !c.here(a) {
			t.Error("the members have not given the supernode the newer list")
		}
		c.verify()
		c.end()
	})
}

// TestWithheldList: a member that reaches nobody but a supernode which keeps the newer list
// from it says so when the list that it has is to be replaced, and catches up when nothing is
// withheld any more.
func TestWithheldList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClub(t, nattest.Symmetric, 3, 3)
		c.stale = 10 * time.Minute
		a, kept := c.members[0], c.members[2]
		c.publish(a, false)
		time.Sleep(15 * time.Second)
		if got := c.serial(kept); got != 1 {
			t.Fatalf("it has list %d", got)
		}
		// What the supernode may withhold: everything between it and this member.
		router := netip.MustParseAddr("198.51.100.3")
		c.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool { return from.Addr() == router || to.Addr() == router })
		c.revoke(c.members[1])
		c.stale = 30 * 24 * time.Hour
		c.publish(a, true)
		time.Sleep(9 * time.Minute)
		if notes := strings.Join(kept.status().Notes, " "); strings.Contains(notes, "E66") {
			t.Errorf("too early: %s", notes)
		}
		time.Sleep(time.Minute)
		if notes := strings.Join(kept.status().Notes, " "); !strings.Contains(notes, "something withholds it") {
			t.Errorf("it does not say that a list is withheld: %s", notes)
		}
		c.Net.SetDrop(nil)
		time.Sleep(time.Minute)
		if notes := strings.Join(kept.status().Notes, " "); c.serial(kept) != 2 || strings.Contains(notes, "E66") {
			t.Errorf("afterwards it has list %d: %s", c.serial(kept), notes)
		}
		c.verify()
		c.end()
	})
}
