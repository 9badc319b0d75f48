package edge

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// neighbour returns a peer with a name, a session and a direct path.
func (e *testEdge) neighbour(n byte) *peer {
	p := e.met(n, "")
	r := p.view.Route()
	r.Direct = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, n}), 4000)
	p.view.SetRoute(r)
	return p
}

// sentTo returns how many datagrams went to a peer's direct address since the last
// call, and fails if any went elsewhere.
func (e *testEdge) sentTo(p *peer) (n int) {
	e.tb.Helper()
	e.send.Flush()
	for _, d := range e.conn.take() {
		if d.to != p.view.Route().Direct {
			e.tb.Errorf("sent to %v", d.to)
		}
		n++
	}
	return n
}

// Of one peer 40 packets are handed on at once and ten a second, of all 200 at
// once and 50 a second.
func TestForwardsAreRationed(t *testing.T) {
	e := newEdge(t, withWays)
	to := e.neighbour(2)
	m := protocol.Forward{To: to.view.Static(), Packet: make([]byte, 192)}
	send := func(now time.Time, from *peer) int {
		for range 100 {
			e.handOn(now, from, m, dataplane.Origin{})
		}
		return e.sentTo(to)
	}
	var others []*peer
	for n := byte(3); n < 13; n++ {
		others = append(others, e.neighbour(n))
	}
	if n := send(noon, others[0]); n != forwardBurst {
		t.Errorf("%d for one peer at once", n)
	}
	all := forwardBurst
	for _, p := range others[1:] {
		all += send(noon, p)
	}
	if all != forwardsBurst {
		t.Errorf("%d for all at once", all)
	}
	if n := send(noon.Add(time.Second), others[0]); n != forwardRate {
		t.Errorf("%d for one peer a second later", n)
	}
	all = forwardRate
	for _, p := range others[1:] {
		all += send(noon.Add(time.Second), p)
	}
	if all != forwardsRate {
		t.Errorf("%d for all a second later", all)
	}
}

// What is handed on goes to somebody else whom we reach without a supernode, and
// not through a third edge and a fourth.
func TestForwardsGoOneEdgeFurther(t *testing.T) {
	e := newEdge(t, withWays)
	from, to, relayed := e.neighbour(2), e.neighbour(3), e.met(4, "")
	side := e.wayBetween(noon, to, [32]byte{9})
	for name, c := range map[string]struct {
		to   [32]byte
		from netip.AddrPort
		want int
	}{
		"to a neighbour":           {to.view.Static(), netip.AddrPort{}, 1},
		"to nobody":                {[32]byte{8}, netip.AddrPort{}, 0},
		"to the sender":            {from.view.Static(), netip.AddrPort{}, 0},
		"to who is relayed":        {relayed.view.Static(), netip.AddrPort{}, 0},
		"from one edge further on": {to.view.Static(), side, 0},
	} {
		e.handOn(noon, from, protocol.Forward{To: c.to, Packet: []byte{1}}, dataplane.Origin{Addr: c.from})
		if n := e.sentTo(to); n != c.want {
			t.Errorf("%s: %d sent", name, n)
		}
	}
}

// There are 256 ways through other edges at a time; one that nobody has used for
// two minutes makes room.
func TestWaysBetweenAreBounded(t *testing.T) {
	e := newEdge(t, withWays)
	via := e.neighbour(2)
	far := func(n int) (k [32]byte) {
		binary.BigEndian.PutUint32(k[:], uint32(n))
		return k
	}
	for n := range maxBetween {
		if a := e.wayBetween(noon, via, far(n)); !a.IsValid() || a != e.wayBetween(noon, via, far(n)) {
			t.Fatalf("way %d: %v", n, a)
		}
	}
	if a := e.wayBetween(noon, via, far(maxBetween)); a.IsValid() {
		t.Error("one more than there may be")
	}
	later := noon.Add(betweenIdle)
	e.wayBetween(later.Add(-time.Second), via, far(7))
	for n := range maxBetween - 1 {
		if a := e.wayBetween(later, via, far(1000+n)); !a.IsValid() {
			t.Fatalf("no way %d later", n)
		}
	}
	if a := e.wayBetween(later, via, far(5000)); a.IsValid() || len(e.forwarding.ways) != maxBetween {
		t.Errorf("%d ways", len(e.forwarding.ways))
	}
}

// A packet for such a way goes to the edge in between, if there still is one and
// it is short enough.
func TestForwardThroughNeighbour(t *testing.T) {
	e := newEdge(t, withWays)
	via := e.neighbour(2)
	side := e.wayBetween(noon, via, [32]byte{9})
	for _, c := range []struct{ size, want int }{{1, 1}, {protocol.MaxForward, 1}, {protocol.MaxForward + 1, 0}} {
		e.forward(dataplane.Forwardable{Side: side, Packet: make([]byte, c.size)})
		if n := e.sentTo(via); n != c.want {
			t.Errorf("%d bytes: %d sent", c.size, n)
		}
	}
	via.view.SetRoute(dataplane.Route{})
	e.forward(dataplane.Forwardable{Side: side, Packet: []byte{1}})
	if n := e.sentTo(via); n != 0 {
		t.Errorf("%d sent without a path", n)
	}
	e.takeForwarded(noon, via, protocol.Forwarded{From: e.cfg.Identity.Static, Packet: []byte{1}}, dataplane.Origin{})
	if n := len(e.forwarding.ways); n != 1 {
		t.Errorf("%d ways, one of them to ourselves", n)
	}
}
