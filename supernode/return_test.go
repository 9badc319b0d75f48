package supernode

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestThousandComeBack restarts a supernode with 1000 edges, which all come back at once
// and then every 2.5 s, as edges do: each from an address of its own, all from behind one
// NAT, and all by one reverse proxy; where nothing was kept they are newcomers. All are
// registered within a few rounds.
func TestThousandComeBack(t *testing.T) {
	n := 1000
	switch {
	case race:
		n = 110 // more than one address may send INITs at once
	case testing.Short():
		n = 300
	}
	nat := netip.MustParseAddr("192.0.2.1")
	for name, place := range map[string]struct {
		rounds int
		kept   bool // the state directory
		at     func(i int) netip.AddrPort
	}{
		"own addresses, nothing kept": {1, false, address},
		"one NAT":                     {1, true, func(i int) netip.AddrPort { return netip.AddrPortFrom(nat, uint16(1000+i)) }},
		"one proxy, nothing kept":     {1, false, func(i int) netip.AddrPort { return side(i + 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			streams := newNoStreams()
			cfg := Config{StateDir: t.TempDir(), Streams: streams}
			r := newRig(t, cfg)
			var edges []*fakeEdge
			for i := range n {
				r.now = r.now.Add(time.Second)
				e := r.edge(testCommunity(fmt.Sprint("c", i/20), "k"), fmt.Sprint("e", i), i)
				e.addr, e.index = place.at(i), uint32(i)<<12
				streams.from("127.0.0.1", e.addr)
				edges = append(edges, e.join())
			}
			if !place.kept {
				cfg.StateDir, cfg.Identity = "", r.s.cfg.Identity
			}
			r = r.restart(cfg)
			rounds, left := 0, edges
			for ; len(left) > 0 && rounds < 20; rounds++ {
				var again []*fakeEdge
				for _, e := range left {
					e.r = r
					if !e.reach() {
						again = append(again, e)
					} else if ack, _ := e.register(e.request()); ack == nil {
						again = append(again, e)
					}
				}
				left = again
				r.now = r.now.Add(2500 * time.Millisecond)
			}
			t.Logf("%d rounds, drops %v", rounds, r.s.refused.drops.nonzero())
			if rounds > place.rounds || r.s.registry.online != n {
				t.Errorf("%d of %d are back after %d rounds, want %d", r.s.registry.online, n, rounds, place.rounds)
			}
		})
	}
}

// TestReturningEdgesHaveLanes: strangers who use up all time that is theirs keep no edge of an
// office behind one address from coming back at once after a restart; later nobody has a lane
// there who is not.
func TestReturningEdgesHaveLanes(t *testing.T) {
	const n = 110 // more than one address may send INITs at once
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	var edges []*fakeEdge
	for i := range n {
		e := r.edge(testCommunity("c", "k"), fmt.Sprint("e", i), i)
		e.addr = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), uint16(1000+i))
		r.now = r.now.Add(100 * time.Millisecond)
		edges = append(edges, e.join())
	}
	r = r.restart(cfg)
	r.s.strangers.handshakes.strangers.use(r.now)
	for _, e := range edges[1:] {
		e.r = r
		if !e.reach() {
			t.Fatal("an edge cannot come back")
		}
		if ack, _ := e.register(e.request()); ack == nil {
			t.Fatal("an edge is not registered")
		}
	}
	lanes := r.s.sessions.lanes
	if !lanes.known(edges[0].addr) || !lanes.known(edges[1].addr) {
		t.Error("an edge has no lane")
	}
	for range int(returnLanes / (20 * time.Second)) {
		r.now = r.now.Add(20 * time.Second)
		for _, e := range edges[1:] {
			r.deliver(e.addr, e.seal())
		}
	}
	r.s.timers.Run(r.now)
	if len(lanes) != n-1 || lanes.known(edges[0].addr) {
		t.Errorf("%d addresses have a lane, want those of %d edges", len(lanes), n-1)
	}
}
