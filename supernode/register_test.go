package supernode

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

func TestForgedProofs(t *testing.T) {
	r := newRig(t, Config{})
	mine, other := testCommunity("mine", "a"), testCommunity("mine", "b")
	stranger := identity("stranger")
	tests := map[string]func(e *fakeEdge, m *protocol.Register){
		"community id": func(e *fakeEdge, m *protocol.Register) { m.CID[0] ^= 1 },
		"name hash":    func(e *fakeEdge, m *protocol.Register) { m.NH[31] ^= 1 },
		"rendezvous key": func(e *fakeEdge, m *protocol.Register) {
			m.RPK = [32]byte(other.Rendezvous().Public().(ed25519.PublicKey))
		},
		"community of another key": func(e *fakeEdge, m *protocol.Register) {
			m.CID, m.RPK = other.ID(), [32]byte(other.Rendezvous().Public().(ed25519.PublicKey))
		},
		"proof":            func(e *fakeEdge, m *protocol.Register) { m.SigC[5] ^= 1 },
		"proof of nothing": func(e *fakeEdge, m *protocol.Register) { m.SigC = [64]byte{} },
		"proof for another session": func(e *fakeEdge, m *protocol.Register) {
			hash := e.hash
			hash[0] ^= 1
			m.SigC = crypto.SignMembership(mine.Rendezvous(), hash, m.CID, m.MAC, e.id.Static)
		},
		"proof for another static key": func(e *fakeEdge, m *protocol.Register) {
			m.SigC = crypto.SignMembership(mine.Rendezvous(), e.hash, m.CID, m.MAC, stranger.Static)
		},
		"proof by another community": func(e *fakeEdge, m *protocol.Register) {
			m.SigC = crypto.SignMembership(other.Rendezvous(), e.hash, m.CID, m.MAC, e.id.Static)
		},
		"MAC": func(e *fakeEdge, m *protocol.Register) { m.MAC[5] ^= 1 },
		"MAC that the statement lacks": func(e *fakeEdge, m *protocol.Register) {
			m.MAC[5] ^= 1
			m.SigC = crypto.SignMembership(mine.Rendezvous(), e.hash, m.CID, m.MAC, e.id.Static)
		},
		"group MAC": func(e *fakeEdge, m *protocol.Register) {
			e.mac[0] |= 1
			*m = *e.request()
		},
		"no MAC": func(e *fakeEdge, m *protocol.Register) {
			e.mac = protocol.MAC{}
			*m = *e.request()
		},
		"statement": func(e *fakeEdge, m *protocol.Register) { m.Statement[100] ^= 1 },
		"somebody else's statement": func(e *fakeEdge, m *protocol.Register) {
			m.Statement = stranger.SignStatement(crypto.Statement{CID: m.CID, MAC: m.MAC, Seq: 9})
		},
		"statement for another community": func(e *fakeEdge, m *protocol.Register) {
			m.Statement = e.id.SignStatement(crypto.Statement{CID: other.ID(), MAC: m.MAC, Seq: 9})
		},
	}
	n := 0
	for name, forge := range tests {
		n++
		t.Run(name, func(t *testing.T) {
			e := r.edge(mine, fmt.Sprint("forger", n), n)
			e.connect()
			m := e.request()
			forge(e, m)
			ack, nak := e.register(m)
			if ack != nil || nak == nil || nak.Code != protocol.CodeProof {
				t.Errorf("ACK %v NAK %v", ack, nak)
			}
			if st := r.s.Status(); st.Edges != 0 || st.Leases != 0 || len(st.Communities) != 0 {
				t.Errorf("something was entered: %+v", st)
			}
			if e.mac == e.id.MAC(mine.ID()) {
				if ack, nak := e.register(e.request()); ack == nil {
					t.Errorf("the truth was refused: %+v", nak)
				}
				e.ask(&protocol.Unregister{})
				r.s.controls.registrar.forget(r.s.registry.byHandle[e.ack.Handle])
			}
		})
	}
}

func TestRefreshIsIdempotent(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	first := e.ack
	for i := range 3 {
		r.now = r.now.Add(time.Minute)
		again := first
		again.LeaseSeconds += uint32(i+1) * leaseGrowth * 60 // it grows with presence
		if ack, nak := e.register(e.request()); ack == nil || fmt.Sprint(*ack) != fmt.Sprint(again) {
			t.Fatalf("got %+v, %+v; first %+v", ack, nak, first)
		}
	}
	if st := r.s.Status(); st.Edges != 1 || st.Leases != 1 || st.Sessions != 1 || st.Guests != 0 {
		t.Errorf("%+v", st)
	}
	want := protocol.Ack{Handle: first.Handle, Seen: e.addr, Lease: first.Lease, LeaseSeconds: 1800,
		ResetToken: crypto.ResetToken(r.s.cfg.Identity.Seed, e.session.RemoteIndex()), Members: 1}
	if fmt.Sprint(first) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", first, want)
	}
}

func TestSameOwnerReturnsAtOnce(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	friend := r.edge(c, "friend", 1).join()
	old := r.edge(c, "e", 2).join()
	again := r.edge(c, "e", 3)
	again.seq = 2
	again.join()
	if again.ack.Handle != old.ack.Handle || again.ack.Lease != old.ack.Lease || again.ack.Members != 2 {
		t.Errorf("was %+v, is %+v", old.ack, again.ack)
	}
	// Packets for it go to the new session, those on the way from the old one
	// are still taken, but not for long.
	packet := junk(60)
	if _, got := again.unwrap(r.deliver(friend.addr, friend.wrap(again.ack.Handle, 0, packet))); len(got) != 1 {
		t.Error("not relayed to the new session")
	}
	if _, got := friend.unwrap(r.deliver(old.addr, old.wrap(friend.ack.Handle, 0, packet))); len(got) != 1 {
		t.Error("not relayed from the old session")
	}
	if got := old.ask(old.request()); got != nil {
		t.Errorf("the old session took over again: %v", got)
	}
	r.now = r.now.Add(retiredTime + time.Second)
	if got := r.deliver(old.addr, old.wrap(friend.ack.Handle, 0, packet)); len(got) != 0 {
		t.Error("the old session is still taken")
	}
	r.pass(sweepPause, sweepPause)
	if st := r.s.Status(); st.Sessions != 2 || st.Edges != 2 {
		t.Errorf("%+v", st)
	}
}

func TestOtherOwnerIsRefusedWhileTheLeaseLasts(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	first := r.edge(c, "first", 1).join()
	second := r.edge(c, "second", 2)
	second.mac = first.mac
	second.connect()
	ack, nak := second.register(second.request())
	if ack != nil || nak.Code != protocol.CodeMACTaken || nak.Holder != first.mac || nak.Retry == 0 {
		t.Fatalf("ACK %+v NAK %+v", ack, nak)
	}
	first.ask(&protocol.Unregister{})
	if ack, _ := second.register(second.request()); ack != nil {
		t.Fatal("given away although the lease lasts")
	}
	r.now = r.now.Add(leaseTime)
	second.connect()
	if ack, nak := second.register(second.request()); ack == nil {
		t.Fatalf("refused after the lease: %+v", nak)
	}
	if n := len(r.s.registry.byHandle); n != 1 {
		t.Errorf("%d registrations", n)
	}
}

func TestSameOwnerChangesItsMAC(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a := r.edge(c, "e", 1).join()
	b := r.edge(c, "e", 2)
	b.mac[5] ^= 1
	b.join()
	if a.ack.Handle != b.ack.Handle || a.ack.Lease != b.ack.Lease {
		t.Errorf("was %+v, is %+v", a.ack, b.ack)
	}
	asker := r.edge(c, "asker", 3).join()
	if got := asker.ask(&protocol.Query{MAC: a.mac}); len(got) != 0 {
		t.Error("the old MAC is still known")
	}
	if got := asker.ask(&protocol.Query{MAC: b.mac}); len(got) != 1 {
		t.Error("the new MAC is not known")
	}
}

func TestOldStatementIsRefused(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	e.seq = 5
	e.join()
	for _, test := range []struct {
		seq  uint64
		code uint8
	}{{4, protocol.CodeOldStatement}, {5, 0}, {6, 0}, {5, protocol.CodeOldStatement}} {
		e.seq = test.seq
		e.connect()
		ack, nak := e.register(e.request())
		if (ack == nil) != (test.code != 0) || nak != nil && nak.Code != test.code {
			t.Errorf("seq %d: ACK %v NAK %+v", test.seq, ack != nil, nak)
		}
	}
}

// TestEarlierStartReturns: once the later of two starts with one identity has taken its
// leave, the earlier one, which still runs, is registered again; while that one is silent
// only, it is not.
func TestEarlierStartReturns(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		r := newRig(t, Config{})
		c := testCommunity("c", "k")
		original := r.edge(c, "e", 1).join()
		clone := r.edge(c, "e", 2)
		clone.seq = 2
		clone.join()
		if leaves {
			clone.ask(&protocol.Unregister{})
		} else {
			r.pass(offlineTime+2*sweepPause, sweepPause)
		}
		original.connect()
		if ack, nak := original.register(original.request()); (ack != nil) != leaves || nak != nil && nak.Code != protocol.CodeOldStatement {
			t.Errorf("leaves %v: ACK %+v NAK %+v", leaves, ack, nak)
		}
	}
}

// Two machines with one identity are told of each other: the one whose session is
// replaced while it is in use, at once, and the one that is registered when the other
// comes again, once a minute. An edge that was started anew is not told of itself.
func TestIdentityTwice(t *testing.T) {
	r := newRig(t, Config{})
	told := func(e *fakeEdge, packets []sent) (n int) {
		for _, m := range e.open(packets) {
			if nak, err := protocol.ParseNak(m.value); m.typ == protocol.MsgNak && err == nil && nak.Code == protocol.CodeIdentityTwice {
				n++
			}
		}
		return n
	}
	c := testCommunity("c", "k")
	original, copied := r.edge(c, "e", 1), r.edge(c, "e", 2)
	original.seq, copied.seq = 5, 6
	original.join()
	copied.connect()
	if n := told(original, r.deliver(copied.addr, copied.seal(copied.request()))); n != 1 {
		t.Errorf("the one that was replaced was told %d times", n)
	}
	comes := func() (n int) {
		for range 5 {
			original.connect()
			n += told(copied, r.deliver(original.addr, original.seal(original.request())))
		}
		return n
	}
	if n := comes(); n != 1 || r.dropped(dropRegisterOld) != 5 {
		t.Errorf("the one that is registered was told %d times within a minute", n)
	}
	for range 4 { // it is in use
		r.pass(16*time.Second, time.Second)
		copied.ask(&protocol.Ping{Pad: protocol.MinPingPad})
	}
	if n := comes(); n != 1 {
		t.Errorf("a minute later it was told %d times", n)
	}
	r.pass(twinTime, time.Second)
	again := r.edge(c, "e", 3)
	again.seq = 7
	again.connect()
	if packets := r.deliver(again.addr, again.seal(again.request())); told(copied, packets)+told(again, packets) != 0 {
		t.Error("an edge that was silent and started anew was told of itself")
	}
}

func TestSessionBelongsToOneEdgeOfOneCommunity(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("a", "k"), "e", 1).join()
	e.community = testCommunity("b", "k")
	if ack, nak := e.register(e.request()); ack != nil || nak.Code != protocol.CodeProof {
		t.Errorf("ACK %v NAK %+v", ack, nak)
	}
}

func TestNameInUseAndMembers(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 3 {
		e := r.edge(testCommunity("net", "right"), fmt.Sprint("right", i), 10+i).join()
		if e.ack.Members != uint32(i+1) || e.ack.NameInUse != 0 {
			t.Errorf("%d: %+v", i, e.ack)
		}
	}
	if e := r.edge(testCommunity("net", "wrong"), "w", 20).join(); e.ack.Members != 1 || e.ack.NameInUse != 1 {
		t.Errorf("%+v", e.ack)
	}
	if e := r.edge(testCommunity("other net", "right"), "o", 21).join(); e.ack.Members != 1 || e.ack.NameInUse != 0 {
		t.Errorf("%+v", e.ack)
	}
}

func TestTablesAreBounded(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{Edges: 4, Communities: 2}})
	code := func(c *crypto.Community, n int) uint8 {
		e := r.edge(c, fmt.Sprint("e", n), n)
		e.connect()
		if _, nak := e.register(e.request()); nak != nil {
			return nak.Code
		}
		return 0
	}
	a, b := testCommunity("a", "k"), testCommunity("b", "k")
	for i, want := range []struct {
		c    *crypto.Community
		code uint8
	}{
		{a, 0}, {b, 0}, {testCommunity("c", "k"), protocol.CodeFull}, {a, 0}, {b, 0}, {a, protocol.CodeFull},
	} {
		if got := code(want.c, i); got != want.code {
			t.Errorf("edge %d: code %d, want %d", i, got, want.code)
		}
	}
	if n := len(r.s.registry.communities); n != 2 {
		t.Errorf("%d communities", n)
	}
}

func TestRegisterRate(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	var acks, naks int
	for range 50 {
		ack, nak := e.register(e.request())
		if ack != nil {
			acks++
		} else if nak.Code == protocol.CodeRate {
			naks++
		}
	}
	if acks != controlBurst/registerCost-1 || acks+naks != 50 {
		t.Errorf("%d ACKs, %d NAKs", acks, naks)
	}
	r.now = r.now.Add(time.Second)
	if ack, _ := e.register(e.request()); ack == nil {
		t.Error("the bucket does not fill")
	}
}

func TestNewcomersOfOnePlaceAreLimited(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	codes := map[uint8]int{}
	var first *fakeEdge
	for i := range newcomerBurst + 50 {
		r.now = r.now.Add(30 * time.Millisecond) // INITs are limited, too
		e := r.edge(c, fmt.Sprint("e", i), 1)
		e.index = uint32(i) << 8
		e.connect()
		if _, nak := e.register(e.request()); nak != nil {
			codes[nak.Code]++
		} else if codes[0]++; first == nil {
			first = e
		}
	}
	if codes[0] < newcomerBurst || codes[0] > newcomerBurst+10 || codes[0]+codes[protocol.CodeRate] != newcomerBurst+50 {
		t.Errorf("%v", codes)
	}
	first.join() // whoever is known is not concerned
	r.edge(c, "elsewhere", 2).join()
}

func TestUnregisterFreesTheSessionAndKeepsTheLease(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1).join()
	e.stay(6 * time.Hour)
	friend := r.edge(c, "friend", 2).join()
	before := e.ack
	e.ask(&protocol.Unregister{})
	if st := r.s.Status(); st.Edges != 1 || st.Leases != 2 || st.Sessions != 1 {
		t.Errorf("%+v", st)
	}
	if got := r.deliver(friend.addr, friend.wrap(before.Handle, 0, junk(60))); len(got) != 0 {
		t.Error("relayed to an edge that left")
	}
	if got := r.deliver(e.addr, e.seal(&protocol.Query{})); len(got) != 0 {
		t.Error("the session still answers")
	}
	r.now = r.now.Add(23 * time.Hour)
	r.pass(expiryPause, time.Second)
	e.join()
	if e.ack.Handle != before.Handle || e.ack.Lease != before.Lease {
		t.Errorf("was %+v, is %+v", before, e.ack)
	}
}

// TestFirstLeaseIsShort: whoever was here once keeps nothing for a day, and who was here
// for six hours does.
func TestFirstLeaseIsShort(t *testing.T) {
	for _, test := range []struct{ present, lease time.Duration }{
		{0, firstLease}, {time.Hour, firstLease + leaseGrowth*time.Hour}, {7 * time.Hour, leaseTime},
	} {
		r := newRig(t, Config{StateDir: t.TempDir()})
		e := r.edge(testCommunity("c", "k"), "e", 1).join()
		e.stay(test.present)
		if test.present > 0 { // else the goodbye would shorten it
			e.ask(&protocol.Unregister{})
		}
		r.pass(test.lease-time.Minute, expiryPause)
		if st := r.s.Status(); st.Leases != 1 {
			t.Errorf("after %v it is gone too early", test.present)
		}
		r.pass(time.Minute+expiryPause, expiryPause)
		if st := r.s.Status(); st.Leases != 0 || len(st.Communities) != 0 {
			t.Errorf("after %v it stays for longer than %v", test.present, test.lease)
		}
	}
}

func TestSilentEdgeIsGoneAndReturns(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1).join()
	r.pass(offlineTime+sweepPause, time.Second)
	if st := r.s.Status(); st.Edges != 0 || st.Sessions != 1 || st.Leases != 1 {
		t.Errorf("silent: %+v", st)
	}
	if ack, _ := e.register(e.request()); ack == nil || ack.Members != 1 {
		t.Errorf("back: %+v", ack)
	}
	r.pass(offlineTime+sweepPause, time.Second)
	r.deliver(e.addr, e.seal()) // a keepalive is enough
	if st := r.s.Status(); st.Edges != 1 {
		t.Errorf("back: %+v", st)
	}
	r.pass(hopTime, time.Second)
	if st := r.s.Status(); st.Edges != 0 || st.Sessions != 0 || st.Leases != 1 {
		t.Errorf("worn: %+v", st)
	}
	r.now = r.now.Add(leaseTime)
	r.pass(expiryPause, expiryPause)
	if st := r.s.Status(); st.Leases != 0 || len(st.Communities) != 0 {
		t.Errorf("ended: %+v", st)
	}
}

func TestManyCommunitiesAtOnce(t *testing.T) {
	r := newRig(t, Config{})
	const communities, members = 50, 4
	edges := make([]*fakeEdge, 0, communities*members)
	for m := range members {
		for i := range communities {
			c := testCommunity(fmt.Sprint("net", i), "k")
			edges = append(edges, r.edge(c, fmt.Sprint("e", i, m), 100+m*communities+i).join())
		}
	}
	if st := r.s.Status(); st.Edges != communities*members || len(st.Communities) != communities {
		t.Fatalf("%d edges, %d communities", st.Edges, len(st.Communities))
	}
	// A flood reaches the members of its own community and nobody else.
	for i, e := range edges[:communities] {
		got := r.deliver(e.addr, e.wrap(protocol.HandleAll, 0, junk(100)))
		for m := 1; m < members; m++ {
			if _, packets := edges[m*communities+i].unwrap(got); len(packets) != 1 {
				t.Fatalf("community %d member %d got %d packets", i, m, len(packets))
			}
		}
		if len(got) != members-1 {
			t.Fatalf("community %d: %d packets", i, len(got))
		}
		// And nothing crosses by handle.
		foreign := edges[(i+1)%communities]
		if got := r.deliver(e.addr, e.wrap(foreign.ack.Handle, 0, junk(100))); len(got) != 0 {
			t.Fatal("relayed into another community")
		}
		if got := e.ask(&protocol.Query{Handle: foreign.ack.Handle}, &protocol.Query{MAC: foreign.mac}, &protocol.Punch{Handle: foreign.ack.Handle}); len(got) != 0 {
			t.Fatal("told of another community")
		}
	}
}

func TestRTTAndRoaming(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1)
	e.connect()
	r.now = r.now.Add(30 * time.Millisecond)
	answers := e.ask(e.request())
	hop := r.s.sessions.byIdx[e.session.RemoteIndex()]
	if hop.rtt != 30*time.Millisecond {
		t.Errorf("handshake: %v", hop.rtt)
	}
	pong := func(all []reply, from netip.AddrPort) {
		t.Helper()
		for _, a := range slices.Backward(all) {
			if a.typ == protocol.MsgPing {
				ping, err := protocol.ParsePing(a.value)
				if err != nil || protocol.PongRoom(ping, from) < 0 {
					t.Errorf("PING %+v: %v", ping, err)
				}
				r.now = r.now.Add(70 * time.Millisecond)
				r.deliver(from, e.seal(&protocol.Pong{Nonce: ping.Nonce, Seen: r.conn.LocalAddr()}))
				return
			}
		}
		t.Fatal("no PING")
	}
	pong(answers, e.addr)
	if hop.rtt != 70*time.Millisecond {
		t.Errorf("PING: %v", hop.rtt)
	}

	// The edge turns up elsewhere: packets go to the old address until the new
	// one has answered, and no more bytes go there than came.
	was := e.addr
	e.addr = address(500)
	var in, out int
	var ping []reply
	for range 5 {
		pkt := e.seal()
		in += len(pkt)
		got := r.deliver(e.addr, pkt)
		for _, p := range got {
			out += len(p.pkt)
		}
		if out > in {
			t.Fatalf("%d bytes out, %d in", out, in)
		}
		if all := e.open(got); len(all) > 0 {
			ping = all
		}
		r.now = r.now.Add(time.Second)
	}
	if len(ping) == 0 {
		t.Fatal("five keepalives were too few for a PING")
	}
	r.deliver(e.addr, e.seal(&protocol.Pong{Nonce: [8]byte{1}, Seen: was}))
	r.deliver(address(501), e.seal(&protocol.Pong{Nonce: hop.probe.nonce, Seen: was}))
	if hop.addr != was || out == 0 {
		t.Fatalf("is at %v after %d bytes", hop.addr, out)
	}
	ping = append(ping, e.open(r.deliver(e.addr, e.seal(&protocol.Whoami{Pad: 100})))...)
	pong(ping, e.addr)
	if hop.addr != e.addr || hop.reg.addr != e.addr {
		t.Errorf("is at %v", hop.addr)
	}
}
