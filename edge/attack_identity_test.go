package edge

import (
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// The tests of this file have somebody lie about who has a static key: a supernode, a
// member on the LAN, a member with a session. What they lie about is a victim's.

// thiefOf returns an identity that signs statements with a victim's static key.
func thiefOf(n byte, victim *crypto.Identity) *crypto.Identity {
	thief := *testIdentity(n)
	thief.Static = victim.Static
	return &thief
}

// lie returns a statement of a thief that names the victim's static key.
func (e *testEdge) lie(thief *crypto.Identity, mac protocol.MAC, seq uint64) []byte {
	return thief.SignStatement(crypto.Statement{CID: e.self.cid, MAC: [6]byte(mac), Seq: seq, Expiry: 1 << 40})
}

// toldBySupernode has the supernode tell of a statement.
func (v *testServer) toldBySupernode(mac protocol.MAC, handle uint32, raw []byte) {
	m := protocol.PeerInfo{CID: v.self.cid, MAC: mac, Handle: handle, Statement: raw}
	v.say(noon, m.Append(nil))
}

// owns fails unless a peer has its hardware address.
func (e *testEdge) owns(what string, static [32]byte, mac protocol.MAC) {
	e.tb.Helper()
	p := e.peers.byMAC[mac]
	if p == nil || p.view.Static() != static {
		e.tb.Errorf("%s: the address is not its owner's any more", what)
	}
}

// A supernode cannot take the address of a peer that has proved who it is: neither with
// another identity's statement, of any number, nor by a restart of ours in between.
func TestSupernodeCannotUnbind(t *testing.T) {
	dir := t.TempDir()
	v := registered(t, inDir(dir))
	p, victim := v.met(2, "roof"), testIdentity(2)
	mac := p.view.MAC()
	for n, seq := range []uint64{1, 2, 1 << 40, 1 << 62, 1<<64 - 1} {
		thief := thiefOf(byte(9+n), victim)
		for _, at := range []protocol.MAC{mac, host(9), v.self.mac, protocol.MAC(thief.MAC(v.self.cid))} {
			v.toldBySupernode(at, 66, v.lie(thief, at, seq))
			v.owns("a lie of the supernode", victim.Static, mac)
		}
	}
	if p.handles[0] != 2 {
		t.Errorf("its handle is %d", p.handles[0])
	}
	if p.sessions.sealing() == nil || p.sessions.init.active() {
		t.Error("the lies have ended its session")
	}
	v.keepState(noon.Add(storeEvery))
	v.background.workers.Wait()
	again := newServer(t, inDir(dir))
	again.answer(noon)
	m := ack(3)
	again.say(noon, m.Append(nil))
	again.owns("after a restart", victim.Static, mac)
	_, raw := again.sign(victim, mac, uint64(noon.UnixMilli()))
	again.toldBySupernode(mac, 2, raw)
	again.owns("after a restart, and the victim's own word", victim.Static, mac)
}

// A member on the LAN cannot either, and cannot have the victim greeted elsewhere.
func TestLANMemberCannotUnbind(t *testing.T) {
	v := registered(t, nil)
	p, victim := v.neighbour(2), testIdentity(2)
	mac := p.view.MAC()
	for n, seq := range []uint64{1, 5, 1<<64 - 1} {
		thief := thiefOf(byte(9+n), victim)
		for _, at := range []protocol.MAC{mac, host(9), protocol.MAC(thief.MAC(v.self.cid))} {
			(*networkObserver)(v.Edge).MetOnLAN(noon, v.lie(thief, at, seq), elsewhere)
			v.settle(noon)
			v.consistent()
			v.owns("a lie on the LAN", victim.Static, mac)
		}
	}
	if p.reach.lan.IsValid() || p.sessions.init.active() {
		t.Error("the victim is greeted where the liar wants it")
	}
}

// A lie that comes before the victim itself was heard lasts until that speaks: what it
// says in its session counts, whatever number the lie had.
func TestLieBeforeTheFirstSession(t *testing.T) {
	v := registered(t, nil)
	victim, thief := testIdentity(2), thiefOf(9, testIdentity(2))
	v.toldBySupernode(host(9), 2, v.lie(thief, host(9), 1<<64-1))
	p := v.peers.byStatic[victim.Static]
	mac := protocol.MAC(victim.MAC(v.self.cid))
	_, raw := v.sign(victim, mac, uint64(noon.UnixMilli()))
	v.toldBySupernode(mac, 2, raw)
	if !p.sessions.init.active() {
		t.Error("nobody asks the victim which of the two it is")
	}
	v.promote(p, v.testEdge.session(p, noon, 100, true))
	v.settle(noon)
	m := protocol.Statement{Signed: raw}
	v.fromPeer(p, dataplane.Origin{Supernode: v.s.view, Handle: 2}, m.Append(nil))
	v.owns("what the victim says", victim.Static, mac)
	if v.peers.byMAC[host(9)] != nil || !p.identity.proven || p.shortID() != victim.ShortID() {
		t.Errorf("it is %v still", p.shortID())
	}
	v.toldBySupernode(host(9), 2, v.lie(thief, host(9), 1<<64-1))
	v.owns("the lie once more", victim.Static, mac)
}

// What a peer says of itself in its session has to be of its own static key, and of the
// identity that it was: statements of others, of other communities and of another
// identity of its own change nothing.
func TestStatementInSession(t *testing.T) {
	v := registered(t, nil)
	p, victim := v.met(2, "roof"), v.met(3, "cellar")
	mac := p.view.MAC()
	_, others := v.sign(testIdentity(3), victim.view.MAC(), 9)
	foreign := testIdentity(2).SignStatement(crypto.Statement{CID: [16]byte{1}, MAC: [6]byte(mac), Seq: 9})
	second := v.lie(thiefOf(8, testIdentity(2)), host(7), 9)
	forged := append([]byte(nil), p.identity.raw...)
	forged[100]++
	for i, raw := range [][]byte{others, foreign, second, forged, make([]byte, protocol.StatementLen)} {
		p.sessions.verifying = v.met(byte(20+i), "").sessions.verifying // full
		m := protocol.Statement{Signed: raw}
		v.fromPeer(p, atPeer, m.Append(nil))
		v.owns("its own", testIdentity(2).Static, mac)
		v.owns("another's", testIdentity(3).Static, victim.view.MAC())
		if v.peers.byMAC[host(7)] != nil || p.identity.statement.ID != [32]byte(testIdentity(2).ID) {
			t.Errorf("%d was taken", i)
		}
	}
}

// One statement with a number far ahead does not keep later ones from being noticed,
// and a number is acted upon once.
func TestSeqJump(t *testing.T) {
	v := registered(t, nil)
	p, id := v.met(2, "roof"), testIdentity(2)
	at := uint64(noon.UnixMilli())
	tell := func(seq uint64) (restarted bool) {
		p.sessions.stopped = false
		_, raw := v.sign(id, p.view.MAC(), seq)
		v.toldBySupernode(p.view.MAC(), 2, raw)
		return p.sessions.stopped
	}
	if !tell(at) || tell(at) || tell(at-1) {
		t.Error("not the newer one alone is a restart")
	}
	for _, seq := range []uint64{1<<64 - 1, 1 << 63, at + uint64(2*seqAhead.Milliseconds())} {
		if tell(seq) {
			t.Errorf("%d was believed", seq)
		}
	}
	if !tell(at + 5000) {
		t.Error("a later restart is not noticed")
	}
	// In its session the peer may say what it likes, and that it is another process
	// is noticed again after that.
	_, raw := v.sign(id, p.view.MAC(), 1<<64-1)
	m := protocol.Statement{Signed: raw}
	v.fromPeer(p, atPeer, m.Append(nil))
	v.owns("a number of its own", id.Static, p.view.MAC())
}

// A peer that does not say who it is is asked, more and more rarely, and answers when it
// is asked, at most once a second.
func TestStatementAsked(t *testing.T) {
	a, b, toB, toA := meetOnLAN(t)
	if !toB.identity.proven || !toA.identity.proven {
		for range 3 {
			carry(noon, a, b)
			carry(noon, b, a)
		}
	}
	if !toB.identity.proven || !toA.identity.proven {
		t.Fatal("they have not said who they are")
	}
	toB.identity.proven = false // it was lost
	a.peers.mark(toB)
	a.settle(noon)
	a.conn.take()
	a.pass(noon.Add(askEvery))
	b.conn.take()
	carry(noon.Add(askEvery), a, b)
	carry(noon.Add(askEvery), b, a)
	if !toB.identity.proven {
		t.Error("it was not asked, or has not answered")
	}
	toB.identity.proven = false
	asked := 0
	for now := noon.Add(2 * time.Second); now.Before(noon.Add(100 * time.Second)); now = now.Add(time.Second) {
		a.peers.mark(toB)
		before := toB.sessions.asked
		at := toB.asking.At()
		a.pass(now)
		if toB.sessions.asked != before || toB.asking.At() != at {
			asked++
		}
	}
	if asked < 4 || asked > 9 {
		t.Errorf("asked %d times in 98 s", asked)
	}
}

// No key of small order is taken: from a supernode, on the LAN, in a session, from the
// state, as a supernode's.
func TestSmallOrderKeys(t *testing.T) {
	for _, weak := range [][32]byte{{}, {1}} {
		v := registered(t, nil)
		id := *testIdentity(9)
		id.Static = weak
		raw := v.lie(&id, host(9), 1)
		v.toldBySupernode(host(9), 9, raw)
		(*networkObserver)(v.Edge).MetOnLAN(noon, raw, elsewhere)
		v.settle(noon)
		if len(v.peers.byStatic) != 0 {
			t.Errorf("%x is a peer", weak[0])
		}
		e := newEdge(t, func(c *Config) { c.Supernodes[0].Key = nil })
		s := e.servers.list[0]
		e.handle(noon, dataplane.HandshakeAnswer{
			Origin: dataplane.Origin{Addr: atServer, Supernode: s.view}, Packet: protocol.AppendWelcome(nil, s.hello.nonce, weak, [32]byte{1}),
		})
		if s.key != nil || !s.hello.active {
			t.Errorf("%x was pinned as a supernode's", weak[0])
		}
		e.state.pinSupernode("sn:7654", weak)
		if e.state.supernodeKey("sn:7654") != nil {
			t.Errorf("%x is taken from the state file", weak[0])
		}
		cfg := testConfig()
		cfg.Supernodes[0].Key = &weak
		if _, err := New(cfg); err == nil {
			t.Errorf("%x was configured", weak[0])
		}
	}
}

// A supernode tells of more members than there can be, as fast as it likes. The book
// stays within its bound, few of the statements are verified, and those with whom there
// is a session, or who have proved who they are and are greeted, stay.
func TestHintsAreBounded(t *testing.T) {
	v := registered(t, nil)
	met := v.met(2, "roof")
	asked := v.introduced(3)
	v.sessions.initiate(asked)
	v.settle(noon)
	now := noon
	before := v.drops()["statement-rate"]
	for n := range maxPeers + 500 {
		if n%500 == 0 {
			now = now.Add(2 * time.Second)
		}
		id := unusual(n)
		mac := protocol.MAC(id.MAC(v.self.cid))
		_, raw := v.sign(id, mac, 1)
		v.servers.directory.handlePeerInfo(now, v.s, protocol.PeerInfo{CID: v.self.cid, MAC: mac, Handle: uint32(1000 + n), Statement: raw})
		if len(v.peers.byStatic) > maxPeers || len(v.peers.byHandle[0]) > maxPeers {
			t.Fatalf("%d peers", len(v.peers.byStatic))
		}
	}
	v.settle(now)
	v.consistent()
	if met.gone || asked.gone {
		t.Error("a peer in use had to go")
	}
	if n := v.drops()["statement-rate"] - before; n == 0 || n > 1500 {
		t.Errorf("%d statements were not verified", n)
	}
}
