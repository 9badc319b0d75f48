package bridge

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

// TestConcurrent has several queues and the control loop use a database at once, for the
// race detector; what is counted is what is there.
func TestConcurrent(t *testing.T) {
	f := New[*testEdge](small)
	edges := []*testEdge{nil, {}, {mute: true}}
	var working sync.WaitGroup
	for q := range 3 {
		working.Go(func() {
			for n := range 3000 {
				now, key := int64(n)*int64(20*time.Millisecond), hostKey(n%40)
				f.Learn(now, key, edges[(n+q)%3])
				f.Local(now, hostKey(n%7), netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}))
				if _, at := f.Lookup(now, key); at == Silent {
					f.Doubt(now, key)
				}
			}
		})
	}
	working.Go(func() {
		for n := range 3000 {
			now := int64(n) * int64(20*time.Millisecond)
			list, _ := f.Due(now)
			for _, q := range list {
				a, _ := f.Ask(now, q.Key, q.Since)
				a.Seq, a.Known = q.Seq, n%2 == 0
				f.Polled(now, q.Key)
				f.Answered(now, q.To, a)
			}
			f.Stations(now)
			f.Told()
			f.Sweep(now)
			f.Counters()
		}
	})
	working.Wait()
	total := 0
	for _, e := range edges {
		total += f.Hosts(e)
	}
	if total != len(f.entries) {
		t.Errorf("%d stations are counted, %d are there", total, len(f.entries))
	}
}

// TestGroupsConcurrently has queues hear of members, and ask where they are, while the
// control loop asks, sweeps and lists: for the race detector. No membership is lost.
func TestGroupsConcurrently(t *testing.T) {
	g, edges := NewGroups[*listening](), settled("a", "b", "c", "d")
	var queues sync.WaitGroup
	for i, e := range edges {
		queues.Go(func() {
			for n := range 500 {
				ip := [4]byte{239, 9, 0, byte(n)}
				hear(g, int64(n), igmp([4]byte{}, ip, group8(igmpReportV2, 0, ip)), e)
				say(g, int64(n), groupFrame(0, [4]byte{}, ip, protoUDP, make([]byte, 64)))
				if n%7 == i {
					hear(g, int64(n), igmp([4]byte{}, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, ip)), e)
				}
			}
		})
	}
	queues.Go(func() {
		for n := range int64(200) {
			g.Due(n)
			g.Ask()
			g.Sweep(n)
			g.List(n)
			g.Handover(n, edges[0], edges[1])
		}
	})
	queues.Wait()
	if n := g.Counters().Count; n != 4*256 {
		t.Errorf("%d memberships", n)
	}
}
