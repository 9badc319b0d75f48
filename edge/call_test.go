package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// noSides gives addresses to ways that lead nowhere.
type noSides struct{ given int }

func (s *noSides) Add(func([]byte)) netip.AddrPort {
	s.given++
	b := sidePrefix.Addr().As16()
	binary.BigEndian.PutUint16(b[14:], uint16(s.given))
	return netip.AddrPortFrom(netip.AddrFrom16(b), 1)
}
func (*noSides) Remove(netip.AddrPort)          {}
func (*noSides) Deliver(netip.AddrPort, []byte) {}

// withWays lets an edge open sockets and streams, which all fail.
func withWays(c *Config) {
	c.Ways = Ways{
		Sides: new(noSides),
		Open:  func(func(netip.AddrPort, []byte)) (Socket, error) { return nil, errors.New("no socket left") },
		Dial: func(context.Context, Supernode, func([]byte)) (Stream, error) {
			return nil, errors.New("no way through")
		},
	}
}

// Of one peer three CALLs are answered at once and one every two seconds, of all
// ten at once and five a second, whatever they ask for.
func TestCallsAreRationed(t *testing.T) {
	e := newEdge(t, withWays)
	answered := func(now time.Time, p *peer) int {
		e.conn.take()
		e.handleCall(now, p, protocol.Call{Gen: 1, Sent: 7})
		e.send.Flush()
		return len(e.conn.take())
	}
	var peers []*peer
	for n := byte(2); n < 8; n++ {
		p := e.met(n, "")
		p.path = path.New(&e.addresses.policy, e.addresses.budget, e.random)
		peers = append(peers, p)
	}
	first := 0
	for range 5 {
		first += answered(noon, peers[0])
	}
	if first != pairBurst {
		t.Errorf("%d answers to one peer at once", first)
	}
	all := first
	for _, p := range peers[1:] {
		for range 5 {
			all += answered(noon, p)
		}
	}
	if all != callBurst {
		t.Errorf("%d answers at once", all)
	}
	later := 0
	for i := range 20 {
		later += answered(noon.Add(time.Duration(i+1)*time.Second), peers[0])
	}
	if later != 10 {
		t.Errorf("%d answers to one peer in 20 s", later)
	}
}

// A CALLACK counts once, for the CALL that it echoes, within three seconds; a GO
// only after a CALL.
func TestCallAckHasToBeExpected(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		echo  uint32
		want  bool
	}{{"in time", time.Second, 0, true}, {"too late", callWait + 1, 0, false}, {"of another", time.Second, 1, false}} {
		e := newEdge(t, withWays)
		p := e.met(2, "")
		p.path = path.New(&e.addresses.policy, e.addresses.budget, e.random)
		e.callPeer(noon, p)
		e.send.Flush()
		if n := len(e.conn.take()); n != 1 {
			t.Fatalf("%d datagrams for a CALL", n)
		}
		ack := protocol.CallAck{Echo: p.call.stamp + c.echo, Call: protocol.Call{Gen: 3, Mapping: 3, Ports: []uint16{5000, 5001, 5002}}}
		e.handleCallAck(noon.Add(c.after), p, ack)
		e.send.Flush()
		if got := len(e.conn.take()) == 1; got != c.want {
			t.Errorf("%s: GO sent: %v", c.name, got)
		}
		e.handleCallAck(noon.Add(c.after), p, ack)
		e.send.Flush()
		if n := len(e.conn.take()); n != 0 {
			t.Errorf("%s: %d datagrams for the same again", c.name, n)
		}
		if got := p.call.theirs.Mapping == address.MappingAddressAndPortDependent && len(p.call.theirs.Ports) == 3; got != c.want {
			t.Errorf("%s: %v", c.name, p.call.theirs)
		}
	}
	e := newEdge(t, withWays)
	p := e.met(2, "")
	p.path = path.New(&e.addresses.policy, e.addresses.budget, e.random)
	e.handleGo(noon, p, protocol.Go{})
	if e.drops.Counts()["not-expected"] != 1 {
		t.Errorf("a GO of nobody: %v", e.drops.Counts())
	}
}

// A stream is wanted a second after UDP was asked and did not answer, at once when
// pings get lost or nothing else may be used, and not while UDP serves.
func TestWhenAStreamIsMade(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name  string
		only  bool
		ready func(l *link)
		want  time.Duration // after noon
	}{
		{"nothing was asked", false, func(*link) {}, never},
		{"INIT", false, func(l *link) { l.init.active, l.init.begun = true, noon }, streamAfter},
		{"HELLO", false, func(l *link) { l.hello.active, l.hello.begun = true, noon }, streamAfter},
		{"its name is unknown here", false, func(l *link) { l.where.again, l.where.failed = noon.Add(time.Minute), noon }, streamAfter},
		{"registered", false, func(l *link) { l.reg.done = true }, never},
		{"a ping is missing", false, func(l *link) { l.reg.done, l.ping.missed = true, 1 }, never},
		{"two pings are missing", false, func(l *link) { l.reg.done, l.ping.missed = true, 2 }, 0},
		{"nothing but streams", true, func(*link) {}, 0},
		{"one failed just now", true, func(l *link) { l.stream.next = noon.Add(time.Minute) }, time.Minute},
		{"one is being made", true, func(l *link) { l.stream.dials = true }, never},
		{"there is one", true, func(l *link) { l.stream.conn = silentStream{} }, never},
	} {
		e := newEdge(t, func(cfg *Config) { withWays(cfg); cfg.StreamOnly = c.only })
		l := e.links[0]
		l.init, l.hello, l.where, l.stream = hopInit{}, helloOut{}, whereabouts{}, streamLink{}
		c.ready(l)
		got := time.Duration(never)
		if at := e.streamAt(l); !at.IsZero() {
			got = at.Sub(noon)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// The first answer by UDP leads a link back from its stream, unless it is to use
// nothing else or is on its way already.
func TestBackToUDP(t *testing.T) {
	at := netip.MustParseAddrPort("203.0.113.1:7654")
	for _, c := range []struct {
		name string
		only bool
		from netip.AddrPort
		busy bool
		want bool
	}{
		{"an answer", false, at, false, true},
		{"of somebody else", false, netip.MustParseAddrPort("203.0.113.9:7654"), false, false},
		{"while an INIT is under way", false, at, true, false},
		{"with streams only", true, at, false, false},
	} {
		e := newEdge(t, func(cfg *Config) { withWays(cfg); cfg.StreamOnly = c.only })
		l := e.links[0]
		l.where.addrs = []netip.AddrPort{at}
		l.stream.conn, l.stream.side, l.at = silentStream{}, destination(9), destination(9)
		l.reg.done, l.init = true, hopInit{active: c.busy}
		e.conn.take()
		e.udpAnswers(noon, c.from)
		e.send.Flush()
		sent := e.conn.take()
		if got := len(sent) == 1 && sent[0].to == at && l.streaming() && l.registered(); got != c.want {
			t.Errorf("%s: %+v, streaming %v", c.name, sent, l.streaming())
		}
	}
}
