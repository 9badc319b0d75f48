package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// memorySides gives side addresses, and keeps what is handed in.
type memorySides struct {
	given     int
	send      map[netip.AddrPort]func([]byte)
	delivered []sentDatagram // by the side address
}

func (s *memorySides) Add(send func([]byte)) netip.AddrPort {
	if s.send == nil {
		s.send = make(map[netip.AddrPort]func([]byte))
	}
	s.given++
	b := transport.SidePrefix().Addr().As16()
	binary.BigEndian.PutUint32(b[8:], uint32(s.given))
	a := netip.AddrPortFrom(netip.AddrFrom16(b), 1)
	s.send[a] = send
	return a
}

// AddEnds is for sockets and allocations, of which these tests have none.
func (s *memorySides) AddEnds(func(netip.AddrPort, []byte)) netip.Prefix {
	s.given++
	b := transport.SidePrefix().Addr().As16()
	binary.BigEndian.PutUint32(b[8:], uint32(s.given))
	return netip.PrefixFrom(netip.AddrFrom16(b), 96)
}

func (s *memorySides) Remove(a netip.AddrPort) { delete(s.send, a) }
func (s *memorySides) Deliver(a netip.AddrPort, pkt []byte) {
	s.delivered = append(s.delivered, sentDatagram{a, pkt})
}

// withTransports lets an edge open sockets and streams, which all fail.
func withTransports(c *Config) {
	c.Transports = underlay.Transports{
		Sides: new(memorySides),
		Open: func(func(netip.AddrPort, []byte)) (underlay.Socket, error) {
			return nil, errors.New("no socket left")
		},
		Dial: func(context.Context, underlay.StreamPlace, func([]byte)) (underlay.Stream, error) {
			return nil, errors.New("nothing gets through")
		},
	}
}

// sides returns the side addresses of an edge.
func (e *testEdge) sides() *memorySides { return e.cfg.Transports.Sides.(*memorySides) }

// sentTo returns how many datagrams went to a peer's direct address since the last
// call, and fails if any went elsewhere.
func (e *testEdge) sentTo(p *peer) (n int) {
	e.tb.Helper()
	for _, d := range e.sentNow() {
		if d.to != p.view.Route().Direct {
			e.tb.Errorf("sent to %v", d.to)
		}
		n++
	}
	return n
}

// Of one peer 40 packets are forwarded at once and ten a second, of all 200 at
// once and 50 a second.
func TestForwardsAreRationed(t *testing.T) {
	e := newEdge(t, withTransports)
	to := e.neighbour(2)
	m := protocol.Forward{To: to.view.Static(), Packet: make([]byte, 192)}
	send := func(now time.Time, from *peer) int {
		for range 100 {
			e.paths.introducers.handleForward(now, from, m, dataplane.Origin{})
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
	if d := e.drops(); d["forward-rate"] == 0 || d["forwards-rate"] == 0 {
		t.Errorf("counted %v", d)
	}
}

// What is forwarded goes to somebody else whom we reach without a supernode, and
// not through a third edge and a fourth.
func TestForwardsGoOneEdgeFurther(t *testing.T) {
	e := newEdge(t, withTransports)
	from, to, relayed := e.neighbour(2), e.neighbour(3), e.met(4, "")
	side := e.paths.introducers.addrOf(noon, to, [32]byte{9})
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
		e.paths.introducers.handleForward(noon, from, protocol.Forward{To: c.to, Packet: []byte{1}}, dataplane.Origin{Addr: c.from})
		if n := e.sentTo(to); n != c.want {
			t.Errorf("%s: %d sent", name, n)
		}
	}
}

// far returns the nth of many static keys.
func far(n int) (k [32]byte) {
	binary.BigEndian.PutUint32(k[:], uint32(n))
	return k
}

// authenticates has a packet of a peer behind an introducer come from a side address.
func (e *testEdge) authenticates(now time.Time, to [32]byte, side netip.AddrPort) {
	p := e.peers.meet(now, to)
	e.paths.routing.heard(now, p, dataplane.Origin{Addr: side})
	e.settle(now)
}

// There are 256 peers behind introducers at a time, and 64 behind one. One that nobody
// has used for two minutes makes room, or one from which nothing has authenticated.
func TestIntroducedAreBounded(t *testing.T) {
	e := newEdge(t, withTransports)
	n := e.paths.introducers
	var by []*peer
	for i := range maxIntroduced / introducedByOne {
		by = append(by, e.neighbour(byte(2+i)))
		for k := range introducedByOne {
			to := far(i*introducedByOne + k)
			a := n.addrOf(noon, by[i], to)
			if !a.IsValid() || a != n.addrOf(noon, by[i], to) || !n.holds(a) {
				t.Fatalf("peer %d: %v", k, a)
			}
			e.authenticates(noon, to, a)
		}
	}
	if a := n.addrOf(noon, by[0], far(1000)); a.IsValid() {
		t.Error("one more behind one introducer than there may be")
	}
	if a := n.addrOf(noon, e.neighbour(20), far(1000)); a.IsValid() {
		t.Error("one more than there may be")
	}
	later := noon.Add(introducedIdle)
	n.addrOf(later.Add(-time.Second), by[0], far(7))
	for i := range introducedByOne - 1 {
		a := n.addrOf(later, by[0], far(1000+i))
		if !a.IsValid() {
			t.Fatalf("no room for %d later", i)
		}
		e.authenticates(later, far(1000+i), a)
	}
	if a := n.addrOf(later, by[0], far(5000)); a.IsValid() || len(n.byAddr) != maxIntroduced || len(e.sides().send) != maxIntroduced {
		t.Errorf("%d peers, %d side addresses", len(n.byAddr), len(e.sides().send))
	}
}

// An introducer that invents senders displaces those that it has invented, and none
// that others have brought or that proved themselves; it brings 50 packets a second, ten
// of one sender, and all together 100.
func TestForwardedAreRationed(t *testing.T) {
	e := newEdge(t, withTransports)
	n := e.paths.introducers
	honest := e.neighbour(2)
	var liars []*peer
	for i := byte(3); i < 13; i++ {
		liars = append(liars, e.neighbour(i))
	}
	bring := func(now time.Time, by *peer, from [32]byte) (delivered int) {
		before := len(e.sides().delivered)
		m := protocol.Forwarded{From: from, Packet: make([]byte, 192)}
		e.handle(now, dataplane.PairMessages{Peer: by.view, Session: by.sessions.current.Crypto(), Origin: dataplane.Origin{Addr: by.view.Route().Direct}, Messages: m.Append(nil)})
		return len(e.sides().delivered) - before
	}
	bring(noon, honest, far(1))
	first := e.sides().delivered[0].to
	e.authenticates(noon, far(1), first)
	for now := noon; now.Before(noon.Add(20 * time.Second)); now = now.Add(20 * time.Millisecond) {
		for i, by := range liars {
			k := int(now.Sub(noon)/time.Millisecond)*100 + i
			bring(now, by, far(1000+k))
			if len(n.byAddr) > maxIntroduced || len(n.byAddr) != len(e.sides().send) {
				t.Fatalf("%d peers, %d side addresses", len(n.byAddr), len(e.sides().send))
			}
		}
		if now.Sub(noon)%time.Second == 0 && !n.addrOf(now, honest, far(2+int(now.Sub(noon)/time.Second))).IsValid() {
			t.Fatal("no room for what an honest introducer brings")
		}
	}
	if !n.holds(first) {
		t.Error("a peer that has authenticated was displaced by strangers")
	}
	of := make(map[[32]byte]int)
	for _, i := range n.byAddr {
		of[i.by]++
	}
	for _, by := range liars {
		if c := of[by.view.Static()]; c > introducedByOne {
			t.Errorf("%d peers behind one introducer", c)
		}
	}
	if all := len(e.sides().delivered); all > forwardedBurst+20*forwardedRate {
		t.Errorf("%d packets in 20 s", all)
	}
	now, one := noon.Add(time.Hour), 0
	for range 1000 {
		one += bring(now, liars[0], far(7))
	}
	many := 0
	for k := range 1000 {
		many += bring(now, liars[1], far(k))
	}
	if one != forwardBurst || many != forwardsBurst {
		t.Errorf("%d of one sender, %d of one introducer at once", one, many)
	}
	if e.drops()["forwarded-rate"] == 0 {
		t.Error("nothing was counted")
	}
}

// A packet for such a peer goes to its introducer, if there still is one and it is
// short enough.
func TestForwardThroughNeighbour(t *testing.T) {
	e := newEdge(t, withTransports)
	by, n := e.neighbour(2), e.paths.introducers
	side := n.addrOf(noon, by, [32]byte{9})
	if static, ok := n.introducerOf(side); !ok || static != by.view.Static() {
		t.Error("the side address is of another introducer")
	}
	for _, c := range []struct{ size, want int }{{1, 1}, {protocol.MaxForward, 1}, {protocol.MaxForward + 1, 0}} {
		e.handle(noon, dataplane.Forwardable{Side: side, Packet: make([]byte, c.size)})
		if n := e.sentTo(by); n != c.want {
			t.Errorf("%d bytes: %d sent", c.size, n)
		}
	}
	n.send(dataplane.Forwardable{Side: elsewhere, Packet: []byte{1}}) // it was given to another peer meanwhile
	by.view.SetRoute(dataplane.Route{})
	n.send(dataplane.Forwardable{Side: side, Packet: []byte{1}})
	if n := e.sentTo(by); n != 0 {
		t.Errorf("%d sent without a path", n)
	}
	if got := e.drops()["no-introducer"]; got != 2 {
		t.Errorf("counted %d", got)
	}
	n.handleForwarded(noon, by, protocol.Forwarded{From: e.cfg.Identity.Static, Packet: []byte{1}}, dataplane.Origin{})
	n.handleForwarded(noon, by, protocol.Forwarded{From: [32]byte{9}, Packet: []byte{1}}, dataplane.Origin{Addr: side})
	if len(n.byAddr) != 1 || len(e.sides().delivered) != 0 || e.drops()["forwarded"] != 2 {
		t.Errorf("%d peers, one of them ourselves", len(n.byAddr))
	}
}

// What an introducer forwards comes in as from the side address of its sender, and
// what is sent to that address comes to the loop.
func TestForwardedComesIn(t *testing.T) {
	e := newEdge(t, withTransports)
	by := e.neighbour(2)
	m := protocol.Forwarded{From: [32]byte{9}, Packet: []byte{1, 2, 3}}
	e.handle(noon, dataplane.PairMessages{Peer: by.view, Session: by.sessions.current.Crypto(), Origin: dataplane.Origin{Addr: by.view.Route().Direct}, Messages: m.Append(nil)})
	got := e.sides().delivered
	if len(got) != 1 || !e.paths.introducers.holds(got[0].to) || len(got[0].pkt) != 3 {
		t.Fatalf("%+v", got)
	}
	e.sides().send[got[0].to]([]byte{4, 5})
	select {
	case ev := <-e.data.plane.Known():
		e.handle(noon, ev)
	default:
		t.Fatal("nothing was posted")
	}
	if n := e.sentTo(by); n != 1 {
		t.Errorf("%d datagrams to the introducer", n)
	}
}

// An INIT goes through three introducers that can forward, with each attempt
// through the next ones, and through none while a supernode carries it.
func TestInitsThroughIntroducers(t *testing.T) {
	e := newEdge(t, withTransports)
	n := e.paths.introducers
	p := e.peers.meet(noon, testIdentity(99).Static)
	for i := byte(2); i < 7; i++ {
		e.neighbour(i)
	}
	e.met(8, "") // relayed
	through := func(attempt int) map[[32]byte]bool {
		e.sentNow()
		n.sendInit(noon, p, attempt, make([]byte, protocol.InitLen))
		by := make(map[[32]byte]bool)
		for _, d := range e.sentNow() {
			static, ok := n.introducerOf(d.to)
			if !ok {
				t.Errorf("sent to %v", d.to)
			}
			by[static] = true
		}
		return by
	}
	all := make(map[[32]byte]bool)
	for attempt := range 2 {
		by := through(attempt)
		if len(by) != introducersAtOnce {
			t.Errorf("attempt %d through %d", attempt, len(by))
		}
		for static := range by {
			all[static] = true
		}
	}
	if len(all) != 5 || all[testIdentity(8).Static] {
		t.Errorf("%d introducers were asked in two attempts", len(all))
	}
	e.servers.list[0].grant.done = true
	e.peers.setHandle(p, 0, 50)
	if by := through(2); len(by) != 0 {
		t.Errorf("through %d introducers beside a supernode", len(by))
	}
}

// What arranges a direct path goes through the supernode that knows the peer, or
// else through the introducer that it was heard by.
func TestRouteOfArrangements(t *testing.T) {
	e := newEdge(t, withTransports)
	n := e.paths.introducers
	p, by := e.met(3, ""), e.neighbour(2)
	side := n.addrOf(noon, by, p.view.Static())
	if r := n.routeTo(p); r == nil || r.Supernode == nil || r.Handle != 3 || r.Direct.IsValid() {
		t.Errorf("by relay: %+v", r)
	}
	e.handle(noon, dataplane.Roamed{Peer: p.view, Origin: dataplane.Origin{Addr: side}})
	if r := n.routeTo(p); r == nil || r.Direct != side {
		t.Errorf("by introducer: %+v", r)
	}
	e.servers.list[0].grant.done = true
	if r := n.routeTo(p); r == nil || r.Supernode == nil {
		t.Errorf("a supernode answers: %+v", r)
	}
	if r := n.routeTo(e.introduced(9)); r != nil {
		t.Errorf("to somebody unknown: %+v", r)
	}
}
