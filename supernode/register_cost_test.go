package supernode

import (
	"fmt"
	"testing"
	"time"
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
