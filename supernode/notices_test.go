package supernode

import (
	"fmt"
	"testing"
	"time"

	"hedgerow/protocol"
)

// TestNoticesShareAPacket: edges that restart together are told of in packets for several,
// and every member is told of every other one exactly once.
func TestNoticesShareAPacket(t *testing.T) {
	const n = 30
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	member := r.edge(c, "member", 1).join()
	var edges []*fakeEdge
	for i := range n {
		edges = append(edges, r.edge(c, fmt.Sprint("e", i), 300*i).join())
	}
	r.now = r.now.Add(time.Minute)
	r.pass(time.Second, pace)
	for _, e := range edges {
		e.seq++
		e.join()
	}
	got := r.pass(time.Second, pace)
	packets, told := 0, map[protocol.MAC]int{}
	for _, p := range got {
		if p.to == member.addr {
			packets++
		}
		if len(p.pkt) > controlLen {
			t.Errorf("a packet of %d bytes", len(p.pkt))
		}
	}
	for _, info := range peers(t, member.open(got)) {
		told[info.MAC]++
	}
	for i, e := range edges {
		if told[e.mac] != 1 {
			t.Errorf("of edge %d it was told %d times", i, told[e.mac])
		}
	}
	if packets > n/pushTogether+1 {
		t.Errorf("%d packets for %d edges", packets, n)
	}
	if q := &r.s.notices.pushes; len(q.waiting) != 0 || q.turns.Len() != 0 {
		t.Errorf("%d still wait", len(q.waiting))
	}
}
