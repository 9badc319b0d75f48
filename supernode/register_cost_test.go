package supernode

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"hedgerow/supernode/journal"
)

// BenchmarkRegister is the cost of a REGISTER, from the datagram to the answer: of an edge
// that is known, and of one that is new in a community of 1000.
func BenchmarkRegister(b *testing.B) {
	b.Run("refresh", func(b *testing.B) {
		r := newRig(b, Config{})
		e := r.edge(testCommunity("c", "k"), "e", 1).join()
		e.r.s.sockets.conn = null{r.conn}
		m := e.request()
		for b.Loop() {
			b.StopTimer()
			r.now = r.now.Add(time.Second)
			pkt := e.seal(m)
			b.StartTimer()
			r.in.N, r.in.Addr, r.in.Seg = copy(r.in.Buf, pkt), e.addr, 0
			r.s.handleTrain(r.now, r.out, &r.in)
			r.prove()
			r.s.sockets.flush(r.out)
		}
		if n := r.s.Status(); n.Edges != 1 || n.Drops["control-rate"] != 0 {
			b.Errorf("%+v", n)
		}
	})
	b.Run("new", func(b *testing.B) {
		r := newRig(b, Config{Limits: Limits{InitRate: 1e6}})
		c := testCommunity("c", "k")
		n := 0
		edge := func() *fakeEdge {
			n++
			e := r.edge(c, fmt.Sprint("e", n), n%50_000)
			e.connect()
			return e
		}
		for range 1000 {
			r.now = r.now.Add(time.Second)
			e := edge()
			e.register(e.request())
		}
		r.s.sockets.conn = null{r.conn}
		for b.Loop() {
			b.StopTimer()
			r.now = r.now.Add(time.Second)
			r.s.sockets.conn = r.conn
			e := edge()
			r.s.sockets.conn = null{r.conn}
			pkt := e.seal(e.request())
			b.StartTimer()
			r.in.N, r.in.Addr, r.in.Seg = copy(r.in.Buf, pkt), e.addr, 0
			r.s.handleTrain(r.now, r.out, &r.in)
			r.prove()
			r.s.sockets.flush(r.out)
		}
	})
}

// BenchmarkStored is the cost of a registration that is on the disk, synced, when so many
// share a commit, in a table of 10 000.
func BenchmarkStored(b *testing.B) {
	for _, together := range []int{1, 16, 128} {
		b.Run(fmt.Sprint(together, " together"), func(b *testing.B) {
			r := newRigOn(b, journal.System, Config{StateDir: b.TempDir()})
			keys := make([]recordKey, 10_000)
			record := make([]byte, recordLen)
			for i := range keys {
				sum := sha256.Sum256(fmt.Append(nil, i))
				keys[i] = recordKey(sum[:len(recordKey{})])
				r.s.store.put(keys[i], record)
			}
			r.s.store.write()
			n := 0
			for b.Loop() {
				r.s.store.put(keys[n%len(keys)], record)
				if n++; n%together == 0 {
					r.s.store.write()
				}
			}
			r.s.store.write()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "registrations/s")
		})
	}
}
