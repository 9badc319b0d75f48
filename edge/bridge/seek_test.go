package bridge

import (
	"net/netip"
	"testing"
	"time"
)

// address returns one of many.
func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// TestSeeks: a station is looked for when frames for it go on being flooded, once a second,
// whoever floods them.
func TestSeeks(t *testing.T) {
	const ms = int64(time.Millisecond)
	s, a, b := NewSeeks[*testEdge](), new(testEdge), new(testEdge)
	var polled []int64
	for now := int64(0); now < 3500*ms; now += 100 * ms {
		if s.Due(now, a, hostKey(1), address(1)) {
			polled = append(polled, now/ms)
		}
		if s.Due(now+ms, b, hostKey(1), address(1)) {
			t.Errorf("after %v for the other, too", time.Duration(now))
		}
	}
	if len(polled) != 4 || polled[0] != 400 || polled[1] != 1400 || polled[3] != 3400 {
		t.Errorf("polled at %v ms", polled)
	}
	// What comes seldom, as the first frame to a station that then answers, is nobody lost.
	for now := int64(10_000); now < 60_000; now += 2500 {
		if s.Due(now*ms, a, hostKey(2), address(2)) {
			t.Errorf("polled after %d ms", now)
		}
	}
}

// TestSeeksBounds: one edge that floods for everybody has few polled, keeps nobody else's
// stations from being found, and all edges together have a bound.
func TestSeeksBounds(t *testing.T) {
	const step = int64(50 * time.Millisecond)
	s, good := NewSeeks[*testEdge](), new(testEdge)
	edges := make([]*testEdge, 2*maxSeekers)
	for i := range edges {
		edges[i] = new(testEdge)
	}
	bad := edges[0]
	one, own := 0, 0
	for now := int64(0); now < int64(10*time.Second); now += step {
		for n := range 200 {
			if s.Due(now, bad, hostKey(n), address(n)) {
				one++
			}
			if s.Due(now, bad, hostKey(1000), address(1000+n)) { // at addresses that it has not
				one++
			}
		}
		if s.Due(now, good, hostKey(1000), address(1)) {
			own++
		}
	}
	if one < 40 || one > 10*seekRate+11 || own != 10 {
		t.Errorf("%d polls for one, %d for the other", one, own)
	}
	all, start := 0, int64(time.Minute)
	for now := start; now < start+int64(10*time.Second); now += step {
		for i, e := range edges {
			for n := range 3 {
				if s.Due(now, e, hostKey(i), address(n)) {
					all++
				}
			}
		}
	}
	if all < 400 || all > 10*seekRateAll+101 || len(s.by) > maxSeekers || len(s.polls) > maxPolls {
		t.Errorf("%d polls, %d edges, %d stations", all, len(s.by), len(s.polls))
	}
	for _, from := range s.by {
		if len(from.flooded) > maxSought {
			t.Errorf("%d stations of one edge", len(from.flooded))
		}
	}
	later := start + int64(time.Minute)
	if s.Due(later, new(testEdge), hostKey(1), address(1)); len(s.by) != 1 {
		t.Errorf("%d edges are remembered", len(s.by))
	}
}
