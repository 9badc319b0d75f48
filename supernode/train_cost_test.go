package supernode

import (
	"fmt"
	"testing"

	"hedgerow/protocol"
	"hedgerow/transport"
)

func TestRelayingATrainAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	r.s.sockets.conn = null{r.conn}
	const runs, count, size = 50, 46, 1400
	trains := make([]transport.Datagram, runs+2)
	for i := range trains {
		trains[i] = transport.Datagram{Buf: make([]byte, count*size), N: count * size, Addr: a.addr, Seg: size}
		a.fill(trains[i].Buf, size, b.ack.Handle)
	}
	relay := func() {
		r.s.handleTrain(r.now, r.out, &trains[0])
		r.s.sockets.flush(r.out)
		trains = trains[1:]
	}
	relay()
	if n := testing.AllocsPerRun(runs, relay); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if sent := r.s.Counters().SentTrains; sent[6] != runs+2 {
		t.Errorf("%v, drops %v", sent, r.s.refused.drops.nonzero())
	}
}

// BenchmarkRelay is the cost of one relayed packet, from the buffer that it was
// read into to the batch that it is written with.
func BenchmarkRelay(b *testing.B) {
	for _, shape := range []struct{ count, size int }{{1, 1400}, {46, 1400}, {64, 140}} {
		b.Run(fmt.Sprintf("train=%d/size=%d", shape.count, shape.size), func(b *testing.B) {
			benchmarkRelay(b, shape.count, shape.size)
		})
	}
}

func benchmarkRelay(b *testing.B, count, size int) {
	trains := 64 * readBatch / count // made at once, outside the time: what one read may bring
	r := newRig(b, Config{Limits: Limits{EdgeBytes: 1e15, CommunityBytes: 1e15}})
	c := testCommunity("c", "k")
	from, to := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	r.s.sockets.conn = null{r.conn}
	in := make([]transport.Datagram, trains)
	for i := range in {
		in[i] = transport.Datagram{Buf: make([]byte, count*size), N: count * size, Addr: from.addr, Seg: size}
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		for i := range in {
			from.fill(in[i].Buf, size, to.ack.Handle)
		}
		b.StartTimer()
		for i := 0; i < trains && done < b.N; i++ {
			r.s.handleTrain(r.now, r.out, &in[i])
			done += count
			if i%readBatch == readBatch-1 {
				r.s.sockets.flush(r.out)
			}
		}
	}
	b.StopTimer()
	r.s.sockets.flush(r.out)
	if drops := r.s.refused.drops.nonzero(); len(drops) != 0 {
		b.Fatal(drops)
	}
}

// fill makes RELAY packets of size bytes in buf, as many as it has room for.
func (e *fakeEdge) fill(buf []byte, size int, handle uint32) {
	for ; len(buf) >= size; buf = buf[size:] {
		pkt := buf[:size]
		counter, _ := e.session.ReserveRelay()
		protocol.Header{Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone,
			RX: e.session.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter)}.Put(pkt)
		e.session.SealRelay(e.sc, pkt)
		e.hide(pkt)
	}
}
