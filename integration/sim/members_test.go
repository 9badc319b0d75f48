package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// club is a community with a list of members, and whoever wants to be in it.
type club struct {
	*World
	t         *testing.T
	sn        *Supernode
	authority *crypto.Authority
	members   []*Edge
	sinks     []*Sink
	list      *roster.List
	entries   []roster.Entry
	rolls     []crypto.Epoch
	stale     time.Duration // after which a list is to be replaced
}

// newClub starts n edges of a community with a list, and admits the first ones.
func newClub(t *testing.T, nat nattest.Behavior, n, admitted int) *club {
	c := &club{World: New(t, 71), t: t, authority: crypto.NewAuthority([32]byte{7}), stale: 30 * 24 * time.Hour}
	c.Community.Members, c.Community.Authority = crypto.MembersList, c.authority.Public()
	c.sn = c.Supernode(supernodeAddr)
	for i := range n {
		c.join(nat, i)
	}
	for _, m := range c.members[:admitted] {
		c.entries = append(c.entries, entryOf(m, 0))
	}
	return c
}

// join starts one more edge.
func (c *club) join(nat nattest.Behavior, i int) *Edge {
	s := new(Sink)
	r := c.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), nat)
	m := c.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), Options{
		Name: fmt.Sprint("member ", i), Supernodes: []*Supernode{c.sn}, Deliver: s.Deliver, State: true, Ethernet: edge.Ethernet{Storm: -1},
	})
	c.members, c.sinks = append(c.members, m), append(c.sinks, s)
	return m
}

func entryOf(m *Edge, role roster.Role) roster.Entry {
	return roster.Entry{ID: [32]byte(m.Identity().ID), Role: role}
}

// sign signs the entries as they are now.
func (c *club) sign() *roster.List {
	c.t.Helper()
	serial := uint64(1)
	if c.list != nil {
		serial = c.list.Head.Serial + 1
	}
	l, err := roster.Sign(c.authority, c.Community.ID(), serial, time.Now(), time.Now().Add(c.stale), c.entries)
	if err != nil {
		c.t.Fatal(err)
	}
	c.list = l
	return l
}

// publish signs the entries, with a new key or without, and hands them to one member.
func (c *club) publish(to *Edge, roll bool) (file []byte) {
	c.t.Helper()
	f := roster.File{List: c.sign()}
	if roll {
		e, err := c.Community.WithRolls(c.rolls).NextRoll(c.key(uint64(500+len(c.rolls))), time.Now().Add(roster.RollAhead(len(c.entries))))
		if err != nil {
			c.t.Fatal(err)
		}
		c.rolls = append(c.rolls, e)
		f.Add(roster.SignRoll(c.authority, c.Community.ID(), f.List.Head.Serial, e))
	}
	file = f.Append(nil)
	if err := to.Edge.AdoptMembers(c.t.Context(), file); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// revoke revokes a member in the list that is signed next.
func (c *club) revoke(m *Edge) {
	for i := range c.entries {
		if c.entries[i].ID == [32]byte(m.Identity().ID) {
			c.entries[i].Role |= roster.Revoked
		}
	}
}

// serial returns which list a member has, and members how it sees it.
func (c *club) serial(m *Edge) uint64 {
	c.t.Helper()
	v, err := m.Edge.Members(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return v.Serial
}

// reaches reports whether a member has a session with another one.
func (c *club) reaches(m, other *Edge) bool {
	c.t.Helper()
	peers, err := m.Edge.Peers(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return slices.ContainsFunc(peers, func(p control.Peer) bool {
		return p.MAC == other.MAC.String() && p.Path != control.PathNone
	})
}

func (c *club) verify() {
	c.t.Helper()
	for _, m := range c.members {
		if err := m.Edge.Verify(c.t.Context()); err != nil {
			c.t.Errorf("%s: %v", m.options.Name, err)
		}
	}
}

// whole fails the test for each flow that has lost a frame from a number on, and cut for
// each that has delivered one.
func (c *club) whole(what string, from int, flows []*Flow) {
	c.t.Helper()
	for i, f := range flows {
		if lost := f.Lost(from, f.Len()); len(lost) > 0 {
			c.t.Errorf("flow %d %s lost %s", i, what, brief(lost))
		}
	}
}

func (c *club) cut(what string, from int, flows []*Flow) {
	c.t.Helper()
	for i, f := range flows {
		if lost := f.Lost(from, f.Len()); len(lost) != f.Len()-from {
			c.t.Errorf("flow %d %s lost %d of %d", i, what, len(lost), f.Len()-from)
		}
	}
}

// end stops everybody.
func (c *club) end() {
	for _, m := range c.members {
		m.Stop()
	}
	c.sn.Stop()
	c.Close()
}

// flows returns flows from each member to each other, and from each to all.
func (c *club) flows(members []int) (list []*Flow) {
	for _, i := range members {
		var others []*Sink
		for _, k := range members {
			if i != k {
				list = append(list, c.Flow(c.members[i], c.members[k].MAC, c.sinks[k]))
				others = append(others, c.sinks[k])
			}
		}
		list = append(list, c.Flow(c.members[i], protocol.Broadcast, others...))
	}
	return list
}

func send(flows []*Flow, n int, every time.Duration) {
	for range n {
		for _, f := range flows {
			f.Send()
		}
		time.Sleep(every)
	}
}

// TestMembersList: with a list of members frames pass between those who are in it, and
// nobody else; the list goes from the member that was given it to all others.
func TestMembersList(t *testing.T) {
	for name, nat := range bothPaths {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClub(t, nat, 4, 3)
				time.Sleep(2 * time.Second)
				if notes := strings.Join(c.members[0].status().Notes, " "); !strings.Contains(notes, "none is here yet") {
					t.Errorf("before there is a list: %s", notes)
				}
				c.publish(c.members[0], false)
				time.Sleep(15 * time.Second)
				for i, m := range c.members[:3] {
					if got := c.serial(m); got != 1 {
						t.Errorf("member %d has list %d", i, got)
					}
				}
				inside, outside := c.flows([]int{0, 1, 2}), c.flows([]int{0, 3})
				send(append(outside, inside...), 20, 500*time.Millisecond)
				first := inside[0].Len()
				send(append(outside, inside...), 20, 100*time.Millisecond)
				time.Sleep(time.Second)
				c.whole("between members", first, inside)
				c.cut("to or from a stranger", 0, outside)
				for _, m := range c.members[:3] {
					if c.reaches(m, c.members[3]) {
						t.Errorf("%s has a session with a stranger", m.options.Name)
					}
				}
				c.verify()
				c.end()
			})
		})
	}
}

// TestRevoke: within 5 s of a revocation nobody has a session with whoever was revoked;
// within a minute all others send under the new key, without a frame lost; a member that
// was away has list and key when it is back, and whoever was revoked has neither.
func TestRevoke(t *testing.T) {
	for name, nat := range bothPaths {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClub(t, nat, 5, 5)
				c.publish(c.members[1], false)
				time.Sleep(15 * time.Second)
				flows, victim, away := c.flows([]int{0, 1, 2}), c.members[3], c.members[4]
				toVictim := c.flows([]int{0, 3})
				send(append(toVictim, flows...), 20, 500*time.Millisecond)
				away.Stop()
				first := flows[0].Len()
				c.revoke(victim)
				old := c.publish(c.members[1], true)
				send(flows, 50, 100*time.Millisecond) // 5 s
				for i, m := range c.members[:3] {
					if c.reaches(m, victim) {
						t.Errorf("5 s later %s has a session with whoever was revoked", m.options.Name)
					}
					if got := m.status().KeyIndex; got != 1 {
						t.Errorf("5 s later member %d sends under key %d", i, got)
					}
				}
				all, n := append(toVictim, flows...), toVictim[0].Len()
				send(all, 60, 100*time.Millisecond)
				send(all, 250, 200*time.Millisecond) // to a minute
				send(all, 300, 200*time.Millisecond) // and past the grace
				c.whole("between those who stay", first, flows)
				c.cut("to or from the revoked", n, toVictim)
				if got := victim.status().KeyIndex; got != 0 {
					t.Errorf("whoever was revoked sends under key %d", got)
				}
				away.Start()
				time.Sleep(20 * time.Second)
				if got := c.serial(away); got != 2 {
					t.Errorf("who was away has list %d", got)
				}
				if got := away.status().KeyIndex; got != 1 {
					t.Errorf("who was away sends under key %d", got)
				}
				back := c.flows([]int{0, 4})
				send(back, 20, 200*time.Millisecond)
				time.Sleep(time.Second)
				c.whole("with who was away", 5, back)
				if err := c.members[0].Edge.AdoptMembers(t.Context(), old); err == nil {
					t.Error("a list was taken twice")
				}
				c.verify()
				c.end()
			})
		})
	}
}

// TestFirstMeeting: of two members that meet for the first time one has a list in which the
// other is not yet; the other brings the newer one. Whoever was revoked cannot do that with
// the list in which it was a member.
func TestFirstMeeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClub(t, nattest.PortRestricted, 3, 2)
		veteran, newcomer, gone := c.members[0], c.members[2], c.members[1]
		newcomer.Stop() // the list with it comes another way
		c.publish(veteran, false)
		time.Sleep(15 * time.Second)
		gone.Stop()
		c.revoke(gone)
		c.publish(veteran, false)
		veteran.Stop()
		c.entries = append(c.entries, entryOf(newcomer, 0))
		newcomer.Start()
		c.publish(newcomer, false)
		if got := c.serial(newcomer); got != 3 {
			t.Fatalf("the newcomer has list %d", got)
		}
		veteran.Start()
		gone.Start()
		if got := c.serial(veteran); got != 2 {
			t.Fatalf("the veteran has list %d", got)
		}
		time.Sleep(15 * time.Second)
		flows := c.flows([]int{0, 2})
		send(flows, 20, 200*time.Millisecond)
		time.Sleep(time.Second)
		c.whole("with the newcomer", 10, flows)
		if got := c.serial(veteran); got != 3 {
			t.Errorf("the veteran has list %d", got)
		}
		if got := c.serial(gone); got != 1 {
			t.Errorf("who was revoked has list %d", got)
		}
		if c.reaches(veteran, gone) || c.reaches(newcomer, gone) {
			t.Error("who was revoked has a session by the list in which it was a member")
		}
		c.verify()
		c.end()
	})
}
