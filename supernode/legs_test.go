package supernode

import (
	"testing"
)

// eights returns every run of eight bytes in datagrams, with the number of the
// datagram that has it.
func eights(datagrams [][]byte) map[[8]byte]int {
	seen := make(map[[8]byte]int)
	for i, d := range datagrams {
		for at := range len(d) - 7 {
			seen[[8]byte(d[at:])] = i
		}
	}
	return seen
}

// TestLegsShareNothing captures both legs of relayed packets, of one member to
// another and of floods to all: whoever sees what came in and what went out, or two
// of the copies that went out, finds no eight bytes twice.
func TestLegsShareNothing(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	third := r.edge(c, "third", 3).join()
	legs := make(map[*fakeEdge][][]byte)
	for i := range 200 {
		packet := junk(40 + 7*i)
		for _, in := range [][]byte{a.wrap(b.ack.Handle, 0, packet), a.wrap(0xffffffff, 0, packet)} {
			legs[a] = append(legs[a], append([]byte(nil), in...))
			for _, out := range r.deliver(a.addr, in) {
				for _, e := range []*fakeEdge{b, third} {
					if out.to == e.addr {
						legs[e] = append(legs[e], append([]byte(nil), out.pkt...))
					}
				}
			}
		}
	}
	if len(legs[b]) != 400 || len(legs[third]) != 200 {
		t.Fatalf("%d and %d datagrams came out", len(legs[b]), len(legs[third]))
	}
	for _, pair := range [][2]*fakeEdge{{a, b}, {a, third}, {b, third}} {
		in, shared := eights(legs[pair[0]]), 0
		for _, d := range legs[pair[1]] {
			for at := range len(d) - 7 {
				if _, ok := in[[8]byte(d[at:])]; ok {
					shared++
				}
			}
		}
		if shared != 0 {
			t.Errorf("two legs have %d strings of eight bytes in common", shared)
		}
	}
	// The two copies of one packet to the same edge, once for it and once for all.
	for i := 0; i < len(legs[b]); i += 2 {
		for at := range len(legs[b][i]) - 7 {
			if at < len(legs[b][i+1])-7 && [8]byte(legs[b][i][at:]) == [8]byte(legs[b][i+1][at:]) {
				t.Fatalf("packet %d was sent twice with the same bytes at %d", i, at)
			}
		}
	}
}
