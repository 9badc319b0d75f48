package edge

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
)

// TestRetryIn holds the waits between INITs: 1, 2 and 4 s, then 5 s with
// jitter.
func TestRetryIn(t *testing.T) {
	jitter := func(d time.Duration) time.Duration { return d - 1 }
	none := func(time.Duration) time.Duration { return 0 }
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if got := retryIn(i+1, jitter); got != want {
			t.Errorf("attempt %d: %v, want %v", i+1, got, want)
		}
	}
	for _, attempts := range []int{4, 5, 100, 1 << 30} {
		if least, most := retryIn(attempts, none), retryIn(attempts, jitter); least != 5*time.Second || most != 6*time.Second-1 {
			t.Errorf("attempt %d: %v to %v", attempts, least, most)
		}
	}
}

// TestHopRetryIn checks that a supernode is tried faster in the long run.
func TestHopRetryIn(t *testing.T) {
	none := func(time.Duration) time.Duration { return 0 }
	for attempts := 1; attempts < 100; attempts++ {
		got, pair := hopRetryIn(attempts, none), retryIn(attempts, none)
		if got < time.Second || got > pair || got > 3*time.Second {
			t.Errorf("attempt %d: %v, a peer waits %v", attempts, got, pair)
		}
	}
}

// TestSourceOf checks that cookies and rates tell apart every way that an INIT
// can come by.
func TestSourceOf(t *testing.T) {
	e := newEdge(t, withWays)
	origins := []dataplane.Origin{
		{Addr: netip.MustParseAddrPort("192.0.2.1:4000")}, {Addr: netip.MustParseAddrPort("192.0.2.1:4001")},
		{Addr: netip.MustParseAddrPort("[2001:db8::1]:4000")},
		{Supernode: dataplane.NewSupernode(0), Handle: 1}, {Supernode: dataplane.NewSupernode(0), Handle: 2}, {Supernode: dataplane.NewSupernode(1), Handle: 1},
	}
	sources, addrs := make(map[string]int), make(map[netip.Addr]int)
	for i, o := range origins {
		if j, ok := sources[string(sourceOf(o))]; ok {
			t.Errorf("origins %d and %d have one source", j, i)
		}
		sources[string(sourceOf(o))] = i
		addrs[e.sourceAddr(o)] = i
	}
	if len(addrs) != len(origins)-1 { // two ports of one address share its rate
		t.Errorf("%d addresses", len(addrs))
	}
	for i, o := range origins[3:] {
		for _, other := range origins[3+i+1:] {
			a, b := e.sourceAddr(o), e.sourceAddr(other)
			if p, _ := a.Prefix(64); p.Contains(b) && o.Handle != other.Handle {
				t.Errorf("handles %d and %d share a rate", o.Handle, other.Handle)
			}
		}
	}
	one, other := e.neighbour(2), e.neighbour(3)
	by := func(via *peer, to byte) netip.Addr {
		a := e.sourceAddr(dataplane.Origin{Addr: e.wayBetween(noon, via, [32]byte{to})})
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	if by(one, 7) != by(one, 8) || by(one, 7) == by(other, 7) {
		t.Error("what an edge hands on has not a rate of its own")
	}
}
