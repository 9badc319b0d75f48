package edge

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// For how long a path is what it is, whatever else changes.
func TestSince(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	since := func(now time.Time) float64 {
		s := e.user.describer.peer(now, p)
		if s.SinceS == nil {
			return -1
		}
		return *s.SinceS
	}
	if got := since(noon.Add(time.Second)); got != 1 {
		t.Errorf("%v s since there is a path", got)
	}
	q := e.introduced(3)
	if s := e.user.describer.peer(noon, q); s.SinceS != nil {
		t.Errorf("%v s before there was a path", *s.SinceS)
	}
	e.servers.list[0].hop.moved = noon.Add(time.Minute) // over to TLS
	if got := since(noon.Add(2 * time.Minute)); got != 60 {
		t.Errorf("%v s since the supernode is reached otherwise", got)
	}
	a, b := p.view.Route(), p.view.Route()
	b.Handle, b.Limit, b.Dual = 99, 1300, true
	if a.NextHop() != b.NextHop() {
		t.Error("another handle is another next hop")
	}
	b.Direct = destination(1)
	c := b
	c.Supernode, c.Session = nil, nil
	if b.NextHop() == a.NextHop() || b.NextHop() != c.NextHop() || (&dataplane.Route{Supernode: a.Supernode}).NextHop() != (dataplane.NextHop{}) {
		t.Error("a direct next hop depends on the relay")
	}
}

// What the search for a direct path refused is said of each peer.
func TestRefusedOfPeer(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	e.paths.routing.start(noon, p)
	e.peers.setHandle(p, 0, 2)
	e.settle(noon)
	reason := func() string { return e.user.describer.peer(noon, p).Reason }
	if got := reason(); got == "" || strings.Contains(got, "refused") {
		t.Errorf("at the start: %q", got)
	}
	e.paths.routing.setCandidates(noon, p, protocol.Candidates{Gen: 1, List: []protocol.Candidate{
		{Kind: 1, Addr: netip.MustParseAddrPort("203.0.113.5:53")}, {Kind: 1, Addr: netip.MustParseAddrPort("224.0.0.1:7000")}, {Kind: 1, Addr: netip.MustParseAddrPort("203.0.113.5:22")},
	}})
	if got := reason(); !strings.HasSuffix(got, "; refused so far: reserved-address 1, forbidden-port 2") {
		t.Errorf("afterwards: %q", got)
	}
}
