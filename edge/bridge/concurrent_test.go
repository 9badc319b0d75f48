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
