package sim

import (
	"fmt"
	"net/netip"
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

// Frames of a device with an MTU of 1500 cross in fragments, both ways, to one
// and to all, directly and relayed, whole and in order.
func TestLargeFrames(t *testing.T) {
	for name, b := range bothPaths {
		for _, mtu := range []int{0, 1400, 1320} { // of the underlay
			if name == "relayed" && mtu != 0 {
				continue // what a relay carries is not measured yet
			}
			for _, device := range []int{1370, 1500, 9000} {
				t.Run(fmt.Sprint(name, " ", mtu, " ", device), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { largeFrames(t, b, mtu, device) })
				})
			}
		}
	}
}

func largeFrames(t *testing.T, b nattest.Behavior, mtu, device int) {
	c := newCouple(t, b, b)
	defer c.end()
	if mtu != 0 {
		c.Net.SetMTU(mtu)
	}
	for _, e := range []*Edge{c.left, c.right} {
		e.Stop()
		e.options.Ethernet.MTU = device
		e.Start()
	}
	time.Sleep(time.Second)
	c.both(10*time.Second, 50*time.Millisecond)
	if p := pathTo(t, c.left, c.right); b.Mapping == nattest.EndpointIndependentMapping && p != control.PathDirect {
		t.Fatalf("the path is %s", p)
	}
	flows := []*Flow{
		c.there, c.back,
		c.Flow(c.left, protocol.Broadcast, &c.sinks[1]), c.Flow(c.right, protocol.Broadcast, &c.sinks[0]),
	}
	if mtu != 0 {
		flows = flows[:2] // a flood goes by relay too
	}
	n := flows[0].Len()
	for i := range 300 {
		for _, f := range flows {
			f.size = device - 12 - i%3*400
			f.Send()
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second)
	for i, f := range flows {
		from := 0
		if i < 2 {
			from = n
		}
		if lost := f.Lost(from, f.Len()); len(lost) > 0 {
			t.Errorf("flow %d lost %s", i, brief(lost))
		}
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("flow %d delivered twice: %s", i, brief(twice))
		}
		if f.damaged > 0 {
			t.Errorf("flow %d: %d frames of a wrong length", i, f.damaged)
		}
	}
}

// A community without encryption works as any other, and has nothing to do with
// one that has keys.
func TestInsecureCommunity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 41)
		c, err := crypto.InsecureCommunity("simulated")
		if err != nil {
			t.Fatal(err)
		}
		secure := w.Community
		w.Community = c
		sn := w.Supernode(supernodeAddr)
		var sinks [3]Sink
		edge := func(i int, c *crypto.Community, b nattest.Behavior) *Edge {
			r := w.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), b)
			return w.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), Options{
				Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{sn}, Deliver: sinks[i].Deliver, Community: c,
			})
		}
		a, b, other := edge(0, c, nattest.PortRestricted), edge(1, c, nattest.PortRestricted), edge(2, secure, nattest.FullCone)
		time.Sleep(time.Second)
		flows := []*Flow{w.Flow(a, b.MAC, &sinks[1]), w.Flow(b, a.MAC, &sinks[0]), w.Flow(a, protocol.Broadcast, &sinks[1])}
		for range 600 {
			for _, f := range flows {
				f.Send()
			}
			other.Send(protocol.Broadcast, make([]byte, 20))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		for i, f := range flows {
			if lost := f.Lost(0, f.Len()); len(lost) > 0 {
				t.Errorf("flow %d lost %s", i, brief(lost))
			}
			if twice := f.Twice(); len(twice) > 0 {
				t.Errorf("flow %d delivered twice: %s", i, brief(twice))
			}
		}
		if n := sinks[0].alien + sinks[1].alien + sinks[2].alien; n > 0 {
			t.Errorf("%d frames crossed between communities", n)
		}
		if p := pathTo(t, a, b); p != control.PathDirect {
			t.Errorf("the path is %s", p)
		}
		for _, e := range []*Edge{a, b, other} {
			e.Stop()
		}
		sn.Stop()
		w.Close()
	})
}

// What happens to the first frames between edges that have no session, by the
// community's rule for members. Where handshakes cannot pass, a community of
// listed members, both of which are in the list, lets nothing in; the others let frames in
// whose sender has proved its hardware address.
func TestFirstContact(t *testing.T) {
	for _, members := range []crypto.Members{crypto.MembersOpen, crypto.MembersTOFU, crypto.MembersList} {
		for _, handshakes := range []bool{true, false} {
			t.Run(fmt.Sprint(members, " handshakes ", handshakes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { firstContact(t, members, handshakes) })
			})
		}
	}
}

func firstContact(t *testing.T, members crypto.Members, handshakes bool) {
	c := &couple{World: New(t, 42)}
	community := *c.Community
	authority := crypto.NewAuthority([32]byte{7})
	if community.Members = members; members == crypto.MembersList {
		community.Authority = authority.Public()
	}
	c.Community = &community
	c.sn = c.Supernode(supernodeAddr)
	for i, e := range []**Edge{&c.left, &c.right} {
		r := c.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), nattest.Symmetric)
		*e = c.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), Options{
			Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{c.sn}, Deliver: c.sinks[i].Deliver,
		})
	}
	if members == crypto.MembersList {
		list, err := roster.Sign(authority, community.ID(), 1, time.Now(), time.Now().Add(time.Hour), []roster.Entry{entryOf(c.left, 0), entryOf(c.right, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Edge{c.left, c.right} {
			if err := e.Edge.AdoptMembers(t.Context(), (&roster.File{List: list}).Append(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.there, c.back = c.Flow(c.left, c.right.MAC, &c.sinks[1]), c.Flow(c.right, c.left.MAC, &c.sinks[0])
	all := c.Flow(c.left, protocol.Broadcast, &c.sinks[1])
	time.Sleep(time.Second)
	if !handshakes {
		c.Net.SetDrop(func(_, _ netip.AddrPort, b []byte) bool {
			return len(b) == protocol.InitLen+protocol.RelayOverhead || len(b) == protocol.RespLen+protocol.RelayOverhead
		})
	}
	for range 5 {
		all.Send()
		time.Sleep(300 * time.Millisecond)
	}
	c.both(time.Second, 200*time.Millisecond)
	time.Sleep(5 * time.Second)
	want := 0
	if !handshakes && members == crypto.MembersList {
		want = 5
	}
	for i, f := range []*Flow{all, c.there, c.back} {
		if lost := f.Lost(0, f.Len()); len(lost) != want {
			t.Errorf("flow %d lost %s, want %d", i, brief(lost), want)
		}
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("flow %d delivered twice: %s", i, brief(twice))
		}
	}
	c.end()
}

// Several communities at one supernode do not hear each other, though their
// edges may have the same hardware and IP addresses.
func TestCommunitiesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 43)
		sn := w.Supernode(supernodeAddr)
		const communities, each = 4, 3
		mac := func(k int) [6]byte { return [6]byte{2, 0, 0, 0, 0, byte(1 + k)} }
		var edges [communities][each]*Edge
		var sinks [communities][each]Sink
		var flows []*Flow
		for c := range communities {
			community := w.other(fmt.Sprint("community", c))
			for k := range each {
				h := w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(10*c + k)}))
				edges[c][k] = w.Edge(h, Options{
					Name: fmt.Sprint(c, k), Supernodes: []*Supernode{sn}, Deliver: sinks[c][k].Deliver,
					Community: community, Ethernet: edge.Ethernet{MAC: mac(k)},
				})
			}
		}
		time.Sleep(2 * time.Second)
		for c := range communities {
			flows = append(flows,
				w.Flow(edges[c][0], mac(1), &sinks[c][1]), w.Flow(edges[c][2], mac(0), &sinks[c][0]),
				w.Flow(edges[c][1], protocol.Broadcast, &sinks[c][0], &sinks[c][2]))
		}
		for range 200 {
			for _, f := range flows {
				f.Send()
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		for i, f := range flows {
			if lost := f.Lost(0, f.Len()); len(lost) > 0 {
				t.Errorf("flow %d lost %s", i, brief(lost))
			}
			if twice := f.Twice(); len(twice) > 0 {
				t.Errorf("flow %d delivered twice: %s", i, brief(twice))
			}
		}
		for c := range communities {
			for k := range each {
				if n := sinks[c][k].alien; n > 0 {
					t.Errorf("edge %d of community %d got %d frames that were not for it", k, c, n)
				}
				edges[c][k].Stop()
			}
		}
		if st := sn.Server.Status(); len(st.Communities) != communities {
			t.Errorf("%d communities", len(st.Communities))
		}
		sn.Stop()
		w.Close()
	})
}
