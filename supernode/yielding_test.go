package supernode

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"hedgerow/protocol"
)

// at puts an edge behind an address, which may be that of others.
func (e *fakeEdge) at(a string) *fakeEdge {
	e.addr = netip.AddrPortFrom(netip.MustParseAddr(a), e.addr.Port())
	return e
}

// asks registers with a wish for one address and none else.
func (e *fakeEdge) asks(p string) (*protocol.Ack, *protocol.Nak) {
	e.connect()
	m := e.request()
	m.Prefix, m.Features = prefix(p), protocol.FeatureStatic
	return e.register(m)
}

// tries reports whether an edge is registered with a lease.
func (e *fakeEdge) tries() bool {
	e.connect()
	ack, _ := e.register(e.request())
	return ack != nil && ack.Lease.IsValid()
}

// smallPool has fourteen addresses.
var smallPool = Config{Pool: netip.MustParsePrefix("10.77.0.0/28")}

// TestShortLivedMembers: containers that come, and leave as they should, each as somebody
// else, never fill the pool, and none of them costs a member that is here or was here for
// long its address; also where the supernode is started anew between them.
func TestShortLivedMembers(t *testing.T) {
	cfg := smallPool
	cfg.StateDir = t.TempDir()
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	here, away := r.edge(c, "here", 1).at("192.0.2.1").join(), r.edge(c, "away", 2).at("192.0.2.2").join()
	away.stay(2 * time.Hour)
	here.join()
	away.ask(&protocol.Unregister{})
	lease := away.ack.Lease
	for i := range 60 {
		if i == 30 {
			r = r.restart(cfg)
			here = r.edge(c, "here", 1).at("192.0.2.1").join()
		}
		e := r.edge(c, fmt.Sprint("container ", i), 100+i).at("198.51.100.7")
		if !e.tries() {
			t.Fatalf("number %d got no address: drops %v", i, r.s.refused.drops.nonzero())
		}
		if e.ack.Lease.Addr() == lease.Addr() || e.ack.Lease.Addr() == here.ack.Lease.Addr() {
			t.Fatalf("number %d got a member's address", i)
		}
		e.ask(&protocol.Unregister{})
		r.now = r.now.Add(time.Second)
		assertUnique(t, r)
	}
	if away = r.edge(c, "away", 3).at("192.0.2.2").join(); away.ack.Lease != lease {
		t.Errorf("who was here for two hours had %v and has %v", lease, away.ack.Lease)
	}
}

// TestLongestAbsentGoesFirst: of a full pool the member that is away for longest makes room,
// a goodbye before all who vanished, and the order outlives a restart.
func TestLongestAbsentGoesFirst(t *testing.T) {
	for _, restart := range []bool{false, true} {
		cfg := smallPool
		cfg.StateDir = t.TempDir()
		r := newRig(t, cfg)
		c := testCommunity("c", "k")
		var members []*fakeEdge
		for i := range 14 {
			members = append(members, r.edge(c, fmt.Sprint("m", i), i).at(fmt.Sprintf("192.0.%d.1", i)).join())
		}
		for _, i := range []int{5, 3, 9} {
			r.now = r.now.Add(time.Second)
			if i != 5 {
				members[i].ask(&protocol.Unregister{})
			}
		}
		r.now = r.now.Add(offlineTime)
		for i, e := range members {
			if i != 5 && i != 3 && i != 9 {
				e.ask(&protocol.Ping{Pad: 100})
			}
		}
		r.pass(2*sweepPause, sweepPause)
		if restart {
			r = r.restart(cfg)
			for i := range members {
				if i != 5 && i != 3 && i != 9 {
					members[i] = r.edge(c, fmt.Sprint("m", i), i).at(fmt.Sprintf("192.0.%d.1", i)).join()
				}
			}
		}
		for n, gone := range []int{3, 9, 5} {
			e := r.edge(c, fmt.Sprint("new ", n), 100+n).at(fmt.Sprintf("203.0.%d.1", 113+n)).join()
			if want := members[gone].ack.Lease; e.ack.Lease != want {
				t.Errorf("restart %v: newcomer %d got %v, the longest absent had %v", restart, n, e.ack.Lease, want)
			}
		}
		if e := r.edge(c, "one too many", 200).at("203.0.200.1"); e.tries() {
			t.Errorf("restart %v: a member that is here lost %v", restart, e.ack.Lease)
		}
		assertUnique(t, r)
	}
}

// TestOneSourceDisplacesNobody: a network takes the addresses of its own edges, and never
// those of others by coming as many; neither one that stays nor one that leaves.
func TestOneSourceDisplacesNobody(t *testing.T) {
	for name, from := range map[string]func(i int) string{
		"one address": func(int) string { return "198.51.100.7" },
		"one /24":     func(i int) string { return fmt.Sprintf("198.51.100.%d", i+1) },
		"one /48":     func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) },
	} {
		for _, leaves := range []bool{false, true} {
			r := newRig(t, smallPool)
			c := testCommunity("c", "k")
			had := map[netip.Addr]bool{}
			for i := range 7 {
				e := r.edge(c, fmt.Sprint("m", i), i).at(fmt.Sprintf("192.0.%d.1", i)).join()
				had[e.ack.Lease.Addr()] = true
				if i%2 == 0 {
					e.ask(&protocol.Unregister{})
				}
			}
			r.now = r.now.Add(offlineTime) // the others vanish
			r.pass(2*sweepPause, sweepPause)
			for i := range 100 {
				e := r.edge(c, fmt.Sprint("attacker ", i), 100+i).at(from(i % 200))
				if e.tries() && had[e.ack.Lease.Addr()] {
					t.Fatalf("%s, leaving %v: number %d took a member's address", name, leaves, i)
				}
				if leaves {
					e.ask(&protocol.Unregister{})
				}
			}
		}
	}
}

// TestAddressOfOneThatLeft: who asks for the very address of one that took its leave gets
// it after some time, and at once from where that one came; a restart changes nothing.
func TestAddressOfOneThatLeft(t *testing.T) {
	const wanted = "10.1.2.1/24"
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	e := r.edge(c, "first", 1).at("192.0.2.1")
	if ack, _ := e.asks(wanted); ack == nil {
		t.Fatal("not free")
	}
	e.stay(2 * time.Hour)
	e.asks(wanted) // staying, it asks for none
	e.ask(&protocol.Unregister{})
	r = r.restart(cfg)
	stranger := r.edge(c, "second", 2).at("192.0.2.2")
	if _, nak := stranger.asks(wanted); nak == nil || nak.Code != protocol.CodeIPTaken {
		t.Errorf("given away at once: %+v", nak)
	}
	again := r.edge(c, "made anew", 3).at("192.0.2.1")
	if ack, nak := again.asks(wanted); ack == nil {
		t.Fatalf("refused where the first one came from: %+v", nak)
	}
	again.ask(&protocol.Unregister{})
	r.now = r.now.Add(leaveGrace)
	if ack, nak := stranger.asks(wanted); ack == nil {
		t.Errorf("refused after the grace: %+v", nak)
	}
	assertUnique(t, r)
}

// TestSilentEdgeLearnsOfItsLoss: an edge that was silent while its address went to another
// one is not taken back in its old session, where it would use it on.
func TestSilentEdgeLearnsOfItsLoss(t *testing.T) {
	r := newRig(t, Config{Pool: prefix("10.0.0.0/30")})
	c := testCommunity("c", "k")
	silent, other := r.edge(c, "silent", 1).at("192.0.2.1").join(), r.edge(c, "other", 2).at("198.51.100.1").join()
	had := silent.ack.Lease
	r.now = r.now.Add(offlineTime)
	other.ask(&protocol.Ping{Pad: 100})
	r.pass(2*sweepPause, sweepPause)
	newcomer := r.edge(c, "newcomer", 3).at("203.0.113.1").join()
	if newcomer.ack.Lease != had {
		t.Fatalf("the newcomer got %v, the silent one had %v", newcomer.ack.Lease, had)
	}
	if got := r.deliver(silent.addr, silent.seal(&protocol.Ping{Pad: 100})); len(got) != 0 {
		t.Error("the old session answers")
	}
}
