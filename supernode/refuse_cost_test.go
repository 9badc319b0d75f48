package supernode

import (
	"bytes"
	"net/netip"
	"testing"

	"hedgerow/transport"
)

// forgedInits returns a function that has a supernode under load refuse a batch of INITs, each
// from another address, and what it has sent meanwhile.
func forgedInits(t testing.TB, batch int) (refuse func(), r *rig) {
	r = newRig(t, Config{Limits: Limits{InitRate: -1}})
	r.s.sockets.conn = null{r.conn}
	_, init := r.edge(testCommunity("c", "k"), "a", 1).initiate(nil)
	in := make([]transport.Datagram, batch)
	for i := range in {
		in[i] = transport.Datagram{Buf: bytes.Clone(init)}
	}
	n := uint32(0)
	return func() {
		for i := range in {
			n++
			in[i].N = copy(in[i].Buf, init)
			in[i].Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{128, byte(n >> 16), byte(n >> 8), byte(n)}), 4000)
			r.s.handleTrain(r.now, r.out, &in[i])
		}
		r.s.sockets.flush(r.out)
	}, r
}

// TestRefusingAnINITAllocatesNothing: a flood from forged addresses makes no garbage.
func TestRefusingAnINITAllocatesNothing(t *testing.T) {
	refuse, r := forgedInits(t, readBatch)
	refuse()
	if n := testing.AllocsPerRun(50, refuse); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if drops := r.s.refused.reasons(); len(drops) != 1 || drops[dropCookie.String()] == 0 {
		t.Errorf("%v", drops)
	}
}

// BenchmarkRefuse is the cost of a batch of INITs from forged addresses, from the buffers that
// they were read into to the batch of COOKIEs.
func BenchmarkRefuse(b *testing.B) {
	refuse, _ := forgedInits(b, readBatch)
	b.ReportAllocs()
	for b.Loop() {
		refuse()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/readBatch, "ns/INIT")
}
