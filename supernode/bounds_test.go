package supernode

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/protocol"
)

// at returns an edge at an address.
func (r *rig) at(e *fakeEdge, a netip.Addr, n int) *fakeEdge {
	e.addr = netip.AddrPortFrom(a, uint16(1024+n%60000))
	e.index = uint32(n+1) << 8
	return e
}

// TestCommunitiesOfOneSource: one address makes as many communities as it likes, and has
// its share of the table and of the disk, and no more.
func TestCommunitiesOfOneSource(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6, Communities: 1024, Edges: 4096}}
	r := newRig(t, cfg)
	mine := r.edge(testCommunity("mine", "k"), "me", 5000).join()
	most := r.s.registry.limits.communitiesAt(0)
	for i := range 3 * most {
		r.pass(2*time.Second, 2*time.Second)
		if i%30 == 29 {
			mine.stay(time.Second)
		}
		e := r.at(r.edge(testCommunity("c", fmt.Sprint(i)), "stranger", 0), netip.MustParseAddr("203.0.113.7"), i)
		e.connect()
		e.register(e.request())
		if i%2 == 0 {
			e.ask(&protocol.Unregister{}) // in haste
		}
	}
	if n := len(r.s.registry.communities); n > most+1 || n < most/2 {
		t.Errorf("%d communities, its share is %d", n, most)
	}
	if st := r.s.Status(); r.s.registry.byHandle[mine.ack.Handle] == nil || st.Leases > most+1 {
		t.Errorf("%+v", st)
	}
	r.s.store.write()
	if records := len(onDisk(t, r.s.cfg.StateDir)); records > most+1 {
		t.Errorf("%d records on disk", records)
	}
	// What is on disk counts for the source after a restart.
	r = r.restart(cfg)
	if faults := r.s.invariants(); len(faults) > 0 {
		t.Errorf("after a restart: %q", faults)
	}
}

// TestVisitorsMakeRoom: where the tables are full of those who came and went, newcomers
// get in, and whoever is here or was here for long stays.
func TestVisitorsMakeRoom(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6, Communities: 100, Edges: 120}})
	here := r.edge(testCommunity("here", "k"), "e", 1).join()
	was := r.edge(testCommunity("was", "k"), "e", 2).join()
	was.stay(familiarTime + time.Minute)
	was.ask(&protocol.Unregister{})
	here.join()
	for i := range 200 {
		a := netip.AddrFrom4([4]byte{203, byte(i % 3), 113, 7}) // few places
		e := r.at(r.edge(testCommunity("c", fmt.Sprint(i)), fmt.Sprint("stranger", i), 0), a, i)
		e.connect()
		e.register(e.request())
		e.ask(&protocol.Unregister{})
	}
	if n := len(r.s.registry.communities); n != 100 {
		t.Fatalf("%d communities, %v", n, r.s.refused.drops.nonzero())
	}
	for i := range 50 {
		r.now = r.now.Add(time.Second / 2)
		r.edge(testCommunity("new", fmt.Sprint(i)), fmt.Sprint("e", i), 1000+i*256).join()
	}
	for _, e := range []*fakeEdge{here, was} {
		if r.s.registry.byHandle[e.ack.Handle] == nil {
			t.Error("a stranger took the place of an edge that is here or was for long")
		}
	}
	if faults := r.s.invariants(); len(faults) > 0 {
		t.Error(faults)
	}
}

// crowdOf is a set of hostile senders at one place.
type crowdOf struct {
	name string
	at   func(random *rand.Rand) netip.Addr
}

var crowds = []crowdOf{
	{"one IPv4 address", func(*rand.Rand) netip.Addr { return netip.MustParseAddr("203.0.113.7") }},
	{"an IPv4 /24", func(random *rand.Rand) netip.Addr {
		return netip.AddrFrom4([4]byte{203, 0, 114, byte(random.Uint32())})
	}},
	{"an IPv6 /48", func(random *rand.Rand) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 7, byte(random.Uint32()), byte(random.Uint32()), 15: 1})
	}},
	{"all over IPv4", func(random *rand.Rand) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(1 + random.IntN(100)), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
	}},
}

// anything returns a message of any kind with any content that its sender may sign for.
func (e *fakeEdge) anything(random *rand.Rand, others []*fakeEdge) []message {
	other := others[random.IntN(len(others))]
	m := e.request()
	switch random.IntN(5) {
	case 0:
		m.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(random.IntN(2)), 0, byte(random.IntN(8))}), random.IntN(33))
	case 1:
		m.Prefix, m.Features = netip.PrefixFrom(e.crowded(random), random.IntN(129)), uint32(random.IntN(16))
	case 2:
		e.mac[5] ^= byte(random.IntN(3))
		e.seq += uint64(random.IntN(3))
		m = e.request()
	}
	one := func() message {
		switch random.IntN(12) {
		case 0, 1, 2, 3:
			return m
		case 4:
			return &protocol.Query{MAC: other.mac}
		case 5:
			return &protocol.Query{}
		case 6:
			return &protocol.Punch{Handle: other.ack.Handle}
		case 7:
			return &protocol.Direct{Handles: []uint32{other.ack.Handle, random.Uint32(), 0}}
		case 8:
			return &protocol.Ping{Pad: random.IntN(100)}
		case 9:
			return &protocol.Whoami{Pad: random.IntN(100)}
		case 10:
			return &protocol.Pong{}
		}
		return &protocol.Unregister{}
	}
	list := []message{one()}
	for random.IntN(3) == 0 {
		list = append(list, one())
	}
	return list
}

// crowded returns an IPv6 address, often the same.
func (e *fakeEdge) crowded(random *rand.Rand) netip.Addr {
	return netip.AddrFrom16([16]byte{byte(random.Uint32()), 0, 15: byte(random.IntN(4))})
}

// TestEveryTableIsBounded fills every table of the registry from outside: many sources,
// static keys and communities, and messages of every kind with every content. After each
// the invariants hold and no table is over its bound; in between honest edges elsewhere
// register, and those that are registered stay.
func TestEveryTableIsBounded(t *testing.T) {
	steps := 3000
	switch {
	case race:
		steps = 400
	case testing.Short():
		steps = 1500
	}
	for _, where := range crowds {
		t.Run(where.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6, Communities: 96, Edges: 300, Guests: 500}})
			random := rand.New(rand.NewPCG(11, uint64(len(where.name))))
			honest := []*fakeEdge{r.edge(testCommunity("home", "k"), "a", 1).join(), r.edge(testCommunity("home", "k"), "b", 2).join()}
			var hostile []*fakeEdge
			tried, failed := 0, 0
			for step := range steps {
				r.pass(100*time.Millisecond, 100*time.Millisecond)
				if step%100 == 0 {
					for _, e := range honest {
						e.stay(time.Millisecond)
					}
				}
				if step%60 == 59 {
					tried++
					e := r.edge(testCommunity("new", fmt.Sprint(step)), "e", 20_000+step*7)
					e.connect()
					if ack, _ := e.register(e.request()); ack == nil {
						failed++
					}
					e.ask(&protocol.Unregister{})
				}
				var e *fakeEdge
				if len(hostile) < 40 || random.IntN(3) == 0 {
					c := testCommunity("c", fmt.Sprint(random.IntN(200)))
					e = r.at(r.edge(c, fmt.Sprint("h", step), 0), where.at(random), step)
					if !e.reach() {
						continue
					}
					hostile = append(hostile, e)
				} else {
					e = hostile[random.IntN(len(hostile))]
				}
				r.deliver(e.addr, e.seal(e.anything(random, hostile)...))
				if random.IntN(4) == 0 {
					r.deliver(e.addr, e.wrap(protocol.HandleAll, protocol.Flags(random.IntN(3)), junk(60)))
				}
				if len(hostile) > 400 {
					hostile = hostile[200:]
				}
				if faults := r.s.invariants(); len(faults) > 0 {
					t.Fatalf("step %d: %q", step, faults)
				}
			}
			st := r.s.Status()
			t.Logf("%d edges, %d leases, %d communities, %d guests, %d of %d honest newcomers refused",
				st.Edges, st.Leases, len(st.Communities), st.Guests, failed, tried)
			for _, e := range honest {
				if reg := r.s.registry.byHandle[e.ack.Handle]; reg == nil || reg.place < 0 {
					t.Error("an honest edge lost its registration")
				}
			}
			if failed*100 > tried {
				t.Errorf("%d of %d honest newcomers were refused: %v", failed, tried, r.s.refused.drops.nonzero())
			}
		})
	}
}
