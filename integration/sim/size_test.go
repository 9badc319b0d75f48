package sim

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// sizes is two edges with devices of Ethernet's MTU.
type sizes struct {
	*World
	left, right *Edge
	sinks       [2]Sink
}

// withSizes runs f with two edges behind NATs of one kind, and the public
// addresses of both routers and of the supernode.
func withSizes(t *testing.T, b nattest.Behavior, f func(t *testing.T, s *sizes)) {
	synctest.Test(t, func(t *testing.T) {
		s := &sizes{World: New(t, 5)}
		defer s.Close()
		sn := s.Supernode(supernodeAddr)
		edgeAt := func(name string, side int) *Edge {
			return s.Edge(behind(b)(s.Net, side), Options{Name: name, Ethernet: edge.Ethernet{MTU: 1500}, Supernodes: []*Supernode{sn}, Deliver: s.sinks[side].Deliver})
		}
		s.left, s.right = edgeAt("left", 0), edgeAt("right", 1)
		time.Sleep(500 * time.Millisecond)
		f(t, s)
		s.left.Stop()
		s.right.Stop()
		sn.Stop()
	})
}

// The public addresses of the edges' routers, as behind gives them.
var routerAddr = [2]netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")}

// flow is a flow from the left edge of frames that are just not cut on a good
// path: the pieces of longer ones are half as long.
func (s *sizes) flow(to protocol.MAC) *Flow {
	f := s.Flow(s.left, to, &s.sinks[1])
	f.size = 1340
	return f
}

// peer returns what the left edge says of the right one.
func (s *sizes) peer(t *testing.T) control.Peer {
	t.Helper()
	peers, err := s.left.Edge.Peers(context.Background())
	if err != nil || len(peers) != 1 {
		t.Fatal(peers, err)
	}
	return peers[0]
}

// mtu returns what the left edge says of its path to the right one.
func (s *sizes) mtu(t *testing.T) int {
	t.Helper()
	return s.peer(t).MTU
}

const (
	every  = 20 * time.Millisecond
	before = 10 * time.Second // the way becomes worse
)

// survives sends frames while the way has become worse, and wants none lost from
// the time on when that has to be known.
func (s *sizes) survives(t *testing.T, f *Flow, within time.Duration) {
	t.Helper()
	first := f.Len()
	f.For(within, every)
	known := f.Len()
	f.For(10*time.Second, every)
	time.Sleep(time.Second)
	if lost := f.Lost(known, f.Len()); len(lost) > 0 {
		t.Errorf("lost %s after it was to be known", brief(lost))
	}
	if twice := f.Twice(); len(twice) > 0 {
		t.Errorf("delivered twice: %s", brief(twice))
	}
	t.Logf("%d of %d frames lost", len(f.Lost(first, known)), known-first)
}

// A direct path begins to swallow large datagrams: within 3 s frames go in
// pieces, and nothing is lost any more.
func TestBlackHoleDirect(t *testing.T) {
	withSizes(t, nattest.PortRestricted, func(t *testing.T, s *sizes) {
		f := s.flow(s.right.MAC)
		f.For(before, every)
		if p, mtu := pathTo(t, s.left, s.right), s.mtu(t); p != control.PathDirect || mtu != 1500 {
			t.Errorf("path %s, MTU %d", p, mtu)
		}
		s.Net.SetPathMTU(routerAddr[0], routerAddr[1], 1300)
		s.survives(t, f, 3*time.Second)
		if mtu := s.mtu(t); mtu != 1300 {
			t.Errorf("MTU %d", mtu)
		}
	})
}

// The same on a relayed path, whichever access link it is, within 7 s; and for
// floods, which go to nobody in particular.
func TestBlackHoleRelayed(t *testing.T) {
	for _, router := range routerAddr {
		withSizes(t, nattest.Symmetric, func(t *testing.T, s *sizes) {
			f, flood := s.flow(s.right.MAC), s.flow(protocol.Broadcast)
			f.For(before, every)
			if p, mtu := pathTo(t, s.left, s.right), s.mtu(t); p != control.PathRelay || mtu != 1500 {
				t.Errorf("path %s, MTU %d", p, mtu)
			}
			s.Net.SetPathMTU(router, supernodeAddr, 1300)
			s.survives(t, f, 7*time.Second)
			s.survives(t, flood, 0)
			// It counts as if every link were IPv6, whose header is 20 bytes longer.
			if mtu := s.mtu(t); mtu < 1300 || mtu > 1320 {
				t.Errorf("MTU %d", mtu)
			}
		})
	}
}

// A relayed path that never carried full datagrams is found out within 3 s of
// the first frame.
func TestBlackHoleRelayedFromStart(t *testing.T) {
	withSizes(t, nattest.Symmetric, func(t *testing.T, s *sizes) {
		s.Net.SetPathMTU(routerAddr[1], supernodeAddr, 1300)
		s.survives(t, s.flow(s.right.MAC), 3*time.Second)
	})
}
