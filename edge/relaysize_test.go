package edge

import (
	"net/netip"
	"testing"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// TestRelayPings holds that a pong counts once, and that only so many are waited
// for.
func TestRelayPings(t *testing.T) {
	s := newRelaySize()
	if _, ok := s.answered([8]byte{}); ok {
		t.Error("a pong without a ping counts")
	}
	for i := range sizedPings + 1 {
		s.sent([8]byte{1, byte(i)}, 1280+i)
	}
	if _, ok := s.answered([8]byte{1, 0}); ok {
		t.Error("the oldest is still waited for")
	}
	if size, ok := s.answered([8]byte{1, 5}); !ok || size != 1285 {
		t.Errorf("%d %v", size, ok)
	}
	if _, ok := s.answered([8]byte{1, 5}); ok {
		t.Error("a pong counts twice")
	}
}

// TestRelayLimit holds what a relayed path is taken to carry before anything is
// known, and that another relay is another path.
func TestRelayLimit(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.promote(p, e.session(p, noon, 10, true))
	e.settle(noon)
	if r := p.view.Route(); r.RelayLimit != 0 || r.LeastPacket() != dataplane.MaxDatagramRelayed-protocol.RelayOverhead {
		t.Errorf("without a relay: %+v", r)
	}
	e.hop()
	e.peers.setHandle(p, 0, 77)
	e.settle(noon)
	if r := p.view.Route(); r.Supernode == nil || r.RelayLimit != dataplane.MaxDatagramRelayed {
		t.Errorf("at first: %+v", r)
	}
	p.reach.relay.size.mtu.Refused()
	e.peers.mark(p)
	e.settle(noon)
	if r := p.view.Route(); r.RelayLimit != 1280-48 || r.MaxPacket() != 1280-48-protocol.RelayOverhead {
		t.Errorf("after a fall: %+v", r)
	}
	if n := e.data.plane.GroupPacket(); n != 1280-48-protocol.RelayOverhead {
		t.Errorf("floods of %d bytes", n)
	}
	e.peers.setHandle(p, 0, 0)
	e.settle(noon)
	e.peers.setHandle(p, 0, 78)
	e.settle(noon)
	if r := p.view.Route(); r.RelayLimit != dataplane.MaxDatagramRelayed {
		t.Errorf("a new relay: %+v", r)
	}
}

// TestGroupLimitOfAll holds that the narrowest path of a peer with a session
// rules floods, in use or not.
func TestGroupLimitOfAll(t *testing.T) {
	e := newEdge(t, nil)
	usual := dataplane.MaxDatagramRelayed - protocol.RelayOverhead
	var peers []*peer
	for n := range byte(3) {
		p := e.introduced(2 + n)
		e.promote(p, e.session(p, noon, 10*uint32(n+1), true))
		peers = append(peers, p)
	}
	e.settle(noon)
	narrow := func(p *peer, limit int) {
		r := p.view.Route()
		r.Direct, r.Limit = netip.MustParseAddrPort("198.51.100.9:4000"), limit
		p.view.SetRoute(r)
		e.paths.routing.group.changed = true
		e.paths.routing.sizeGroup()
	}
	for _, c := range []struct{ peer, limit, want int }{{0, 1472, usual}, {1, 1252, 1252}, {2, 1300, 1252}, {1, 1472, 1300}} {
		narrow(peers[c.peer], c.limit)
		if n := e.data.plane.GroupPacket(); n != c.want {
			t.Errorf("%+v: %d", c, n)
		}
	}
	e.sessions.closed(peers[2])
	e.settle(noon)
	if n := e.data.plane.GroupPacket(); n != usual {
		t.Errorf("the narrow peer has gone: %d", n)
	}
}
