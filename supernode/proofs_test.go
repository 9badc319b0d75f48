package supernode

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
)

// post hands in a control packet and leaves the check of its signatures for later. It
// returns what was sent at once.
func (e *fakeEdge) post(messages ...message) []reply {
	return e.open(e.r.deliverUnproved(e.addr, e.seal(messages...)))
}

// proved has the signatures checked and returns what was sent to e because of that.
func (e *fakeEdge) proved() []reply {
	e.r.prove()
	e.r.s.sockets.flush(e.r.out)
	return e.open(e.r.conn.drain())
}

// TestSignaturesWait: whoever reads the socket checks no signature. What comes behind a
// REGISTER is handled before it, and it is answered when it has been checked, with what
// came in its packet.
func TestSignaturesWait(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b, e := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join(), r.edge(c, "e", 3)
	e.connect()
	if got := e.post(e.request(), &protocol.Ping{Pad: 100}); got != nil || r.s.Status().Edges != 2 {
		t.Errorf("%d edges are registered, and it was answered with %v", r.s.Status().Edges, got)
	}
	packet := make([]byte, 100)
	if from, _ := b.unwrap(r.deliverUnproved(a.addr, a.wrap(b.ack.Handle, 0, packet))); len(from) != 1 {
		t.Error("a relayed packet waits for the signatures of others")
	}
	got := e.proved()
	types := make([]protocol.MsgType, 0, 3)
	for _, m := range got {
		types = append(types, m.typ)
	}
	if want := []protocol.MsgType{protocol.MsgPing, protocol.MsgAck, protocol.MsgPong}; !slices.Equal(types, want) || r.s.Status().Edges != 3 {
		t.Errorf("%d edges are registered, and it was answered with %v", r.s.Status().Edges, types)
	}
}

// deliverUnproved is deliver without the checks that wait.
func (r *rig) deliverUnproved(from netip.AddrPort, pkt []byte) []sent {
	r.in.N, r.in.Addr, r.in.Seg, r.in.Local = copy(r.in.Buf, pkt), from, 0, asked(from)
	r.s.handleTrain(r.now, r.out, &r.in)
	r.s.sockets.flush(r.out)
	return r.conn.drain()
}

// TestSecondLook: what has changed while signatures were checked counts.
func TestSecondLook(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1)
	e.connect()
	first := *e
	first.post(e.request())
	r.s.mu.Lock()
	r.s.sessions.end(r.s.sessions.byIdx[first.session.RemoteIndex()])
	r.s.mu.Unlock()
	first.proved()
	if n := r.dropped(dropRegisterRetired); n != 1 || r.s.Status().Edges != 0 {
		t.Errorf("%d edges registered over a session that had ended, %d refused", r.s.Status().Edges, n)
	}
	// Two REGISTERs for one hardware address: the second finds it taken.
	d, f := r.edge(c, "d", 2), r.edge(c, "f", 3)
	f.mac = d.mac
	d.connect()
	f.connect()
	d.post(d.request())
	f.post(f.request())
	r.prove()
	if n := r.dropped(dropMACTaken); n != 1 || r.s.Status().Edges != 1 {
		t.Errorf("%d edges have one hardware address, %d were refused", r.s.Status().Edges, n)
	}
}

// TestKnownStatements: the statement that an edge has registered is not verified again when it
// comes back with it, over a new session; any other one is, and what was signed for another
// session or key is refused as before.
func TestKnownStatements(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	reg := r.s.registry.byHandle[e.ack.Handle]
	reg.statement[len(reg.statement)-1] ^= 1 // so that it would not hold
	e.connect()
	for _, m := range []struct {
		change  func(m *protocol.Register)
		refused dropReason
	}{
		{func(m *protocol.Register) { m.Statement = slices.Clone(reg.statement) }, answered},
		{func(m *protocol.Register) { m.Statement = slices.Clone(reg.statement); m.Statement[100] ^= 1 }, dropRegisterStatement},
		{func(m *protocol.Register) { m.Statement = slices.Clone(reg.statement); m.SigC[0] ^= 1 }, dropRegisterMembership},
	} {
		r.now = r.now.Add(time.Second)
		request := e.request()
		m.change(request)
		ack, _ := e.register(request)
		if (ack != nil) != (m.refused == answered) || m.refused != answered && r.dropped(m.refused) != 1 {
			t.Errorf("%d: %+v; drops %v", m.refused, ack, r.s.refused.drops.nonzero())
		}
	}
}

// TestRepeatedRegisterWaitsOnce: an edge that repeats its REGISTER while it waits is answered
// once and pays for it once; what else is in the packet is handled at once. Another REGISTER of
// the session waits as well.
func TestRepeatedRegisterWaitsOnce(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	e.connect()
	q := r.s.controls.registrar.proofs.waiting
	e.post(e.request())
	left := r.s.controls.registrar.proofs.strangers.common.spent
	if got := e.post(e.request(), &protocol.Ping{Pad: 100}); len(got) != 1 || got[0].typ != protocol.MsgPong {
		t.Errorf("it was answered with %v", got)
	}
	if q.count(false) != 1 || r.s.controls.registrar.proofs.strangers.common.spent != left {
		t.Errorf("%d REGISTERs wait", q.count(false))
	}
	other := e.request()
	other.Candidates = append(other.Candidates, netip.MustParseAddrPort("198.51.100.1:1"))
	e.post(other)
	if q.count(false) != 2 {
		t.Errorf("%d REGISTERs wait, and two are different", q.count(false))
	}
	acks := 0
	for _, m := range e.proved() {
		if m.typ == protocol.MsgAck {
			acks++
		}
	}
	if acks != 2 || r.s.Status().Edges != 1 {
		t.Errorf("%d ACKs, %d edges", acks, r.s.Status().Edges)
	}
}

// TestSignaturesQueue: as many REGISTERs wait as there is room for, and who finds none is
// told to ask again; registered edges do not wait behind strangers.
func TestSignaturesQueue(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	member := r.edge(c, "member", 1).join()
	e := r.edge(c, "e", 2)
	e.connect()
	q := r.s.controls.registrar.proofs.waiting
	for q.put(r.now, false, claimKey{}, claimed{}) {
	}
	got := e.post(e.request())
	if len(got) != 1 || got[0].typ != protocol.MsgNak {
		t.Fatalf("it was answered with %v", got)
	}
	if nak, err := protocol.ParseNak(got[0].value); err != nil || nak.Code != protocol.CodeRate || nak.Retry != retryRate {
		t.Errorf("%+v, %v", nak, err)
	}
	r.now = r.now.Add(time.Second)
	member.post(member.request())
	if in, _ := q.waiting(r.now); in.hop == nil || in.hop.reg == nil {
		t.Error("a member waits behind strangers")
	}
	for q.take() != nil {
	}
}
