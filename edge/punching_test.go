package edge

import (
	"testing"
	"time"

	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// Of one peer three CALLs are answered at once and one every two seconds, of all
// ten at once and five a second, whatever they ask for.
func TestCallsAreRationed(t *testing.T) {
	e := newEdge(t, withTransports)
	answered := func(now time.Time, p *peer) int {
		e.conn.take()
		e.paths.punching.handleCall(now, p, protocol.Call{Gen: 1, Sent: 7})
		return len(e.sentNow())
	}
	var peers []*peer
	for n := byte(2); n < 8; n++ {
		p := e.met(n, "")
		e.paths.routing.start(noon, p)
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
	if d := e.drops(); d["call-rate"] == 0 || d["calls-rate"] == 0 {
		t.Errorf("counted %v", d)
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
		e := newEdge(t, withTransports)
		p, u := e.met(2, ""), e.paths.punching
		e.paths.routing.start(noon, p)
		u.call(noon, p)
		if n := len(e.sentNow()); n != 1 {
			t.Fatalf("%d datagrams for a CALL", n)
		}
		ack := protocol.CallAck{Echo: p.reach.call.stamp + c.echo, Call: protocol.Call{Gen: 3, Mapping: 3, Ports: []uint16{5000, 5001, 5002}}}
		u.handleCallAck(noon.Add(c.after), p, ack)
		if got := len(e.sentNow()) == 1; got != c.want {
			t.Errorf("%s: GO sent: %v", c.name, got)
		}
		u.handleCallAck(noon.Add(c.after), p, ack)
		if n := len(e.sentNow()); n != 0 {
			t.Errorf("%s: %d datagrams for the same again", c.name, n)
		}
		theirs := p.reach.call.theirs
		if got := theirs.Mapping == address.MappingAddressAndPortDependent && len(theirs.Ports) == 3; got != c.want {
			t.Errorf("%s: %v", c.name, theirs)
		}
	}
	e := newEdge(t, withTransports)
	p := e.met(2, "")
	e.paths.routing.start(noon, p)
	e.paths.punching.handleGo(noon, p, protocol.Go{})
	if e.drops()["go"] != 1 {
		t.Errorf("a GO of nobody: %v", e.drops())
	}
}

// Two peers agree on a moment by CALL, CALLACK and GO, and a supernode's PUNCH is
// for a peer with a session that it knows.
func TestAgreement(t *testing.T) {
	e := newEdge(t, withTransports)
	p, u := e.met(2, ""), e.paths.punching
	e.paths.routing.start(noon, p)
	e.settle(noon)
	e.conn.take()
	u.handleCall(noon, p, protocol.Call{Gen: 1, Sent: 7, List: []protocol.Candidate{{Kind: uint8(address.KindReflexive), Addr: destination(4)}}})
	e.settle(noon)
	u.handleGo(noon.Add(time.Second), p, protocol.Go{Gen: 1, Delay: goLead})
	e.settle(noon.Add(time.Second))
	if p.reach.call.heard != noon || e.drops()["go"] != 0 || !p.reach.path.Knows(destination(4)) {
		t.Errorf("call %+v, drops %v", p.reach.call, e.drops())
	}
	u.handleGo(noon.Add(callWait+1), p, protocol.Go{})
	if e.drops()["go"] != 1 {
		t.Error("a GO counts long after its CALL")
	}
	s := e.servers.list[0]
	u.handlePunch(noon, s, protocol.Punch{Handle: 2, Seen: destination(5), Delay: goLead})
	if e.drops()["punch"] != 0 || !p.reach.path.Knows(destination(5)) {
		t.Error("a PUNCH was not taken")
	}
	s.grant.done = true
	e.conn.take()
	u.ask(noon, p)
	if n := len(e.sentNow()); n != 2 { // PUNCH to the supernode, CALL to the peer
		t.Errorf("%d datagrams ask for an attempt", n)
	}
	if u.portServer() != s.hop.at {
		t.Error("the registered supernode is not asked for ports")
	}
}
