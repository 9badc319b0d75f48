package supernode

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// peers returns the PEER_INFOs among replies.
func peers(t *testing.T, all []reply) (list []protocol.PeerInfo) {
	t.Helper()
	for _, a := range all {
		if a.typ != protocol.MsgPeerInfo {
			continue
		}
		if a.size > controlLen {
			t.Errorf("a packet of %d bytes", a.size)
		}
		p, err := protocol.ParsePeerInfo(a.value)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestQuery(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	e := r.edge(c, "e", 1).join()
	peer := r.edge(c, "peer", 2)
	peer.connect()
	m := peer.request()
	m.Features = protocol.FeaturePartial
	m.Candidates = []netip.AddrPort{netip.MustParseAddrPort("192.168.1.2:5000"), netip.MustParseAddrPort("[2001:db8::2]:5000")}
	peer.register(m)
	want := protocol.PeerInfo{CID: c.ID(), MAC: peer.mac, Handle: peer.ack.Handle, Prefix: peer.ack.Lease,
		Seen: peer.addr, Candidates: m.Candidates, Features: m.Features, Statement: m.Statement}
	for name, q := range map[string]*protocol.Query{
		"MAC": {MAC: peer.mac}, "handle": {Handle: peer.ack.Handle}, "anybody": {},
	} {
		got := peers(t, e.ask(q))
		if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("%s: %+v\nwant %+v", name, got, want)
		}
		if _, err := crypto.VerifyStatement(got[0].Statement); err != nil {
			t.Error(err)
		}
	}
	for name, q := range map[string]*protocol.Query{
		"itself": {MAC: e.mac}, "itself by handle": {Handle: e.ack.Handle},
		"nobody": {MAC: protocol.MAC{2, 3}}, "nobody's handle": {Handle: 77},
	} {
		if got := e.ask(q); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	guest := r.edge(c, "guest", 3)
	guest.connect()
	if got := guest.ask(&protocol.Query{MAC: peer.mac}, &protocol.Punch{Handle: peer.ack.Handle}, &protocol.Unregister{}); len(got) != 0 || r.dropped(dropUnregistered) != 3 {
		t.Errorf("a guest was told %v", got)
	}
	peer.ask(&protocol.Unregister{})
	if got := e.ask(&protocol.Query{MAC: peer.mac}); len(got) != 0 {
		t.Errorf("an edge that left: %v", got)
	}
}

// Who asks about a member hears for how long that has been silent, once that is longer than
// keepalives are apart, and until it is heard again.
func TestQueryForSilent(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	e, peer := r.edge(c, "e", 1).join(), r.edge(c, "peer", 2).join()
	silent := func(after time.Duration) uint32 {
		r.now = r.now.Add(after)
		got := peers(t, e.ask(&protocol.Query{Handle: peer.ack.Handle}))
		if len(got) != 1 {
			t.Fatalf("told %v", got)
		}
		return got[0].Silent
	}
	for _, x := range []struct {
		after time.Duration
		want  uint32
	}{{22 * time.Second, 0}, {8 * time.Second, 0}, {5 * time.Second, 35}, {time.Minute, 95}} {
		if got := silent(x.after); got != x.want {
			t.Errorf("%v later it is said to be silent for %d s, want %d", x.after, got, x.want)
		}
	}
	peer.ask(&protocol.Ping{Nonce: [8]byte{1}, Pad: protocol.MinPingPad})
	if got := silent(time.Second); got != 0 {
		t.Errorf("it was heard, and is said to be silent for %d s", got)
	}
}

func TestQueryForTheLatest(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	asker := r.edge(c, "asker", 0).join()
	var edges []*fakeEdge
	for i := range 100 {
		r.now = r.now.Add(100 * time.Millisecond)
		edges = append(edges, r.edge(c, fmt.Sprint("e", i), i+1).join())
	}
	r.now = r.now.Add(time.Second)
	edges[3].ask()
	got := peers(t, asker.ask(&protocol.Query{}))
	if len(got) != listLen || got[0].MAC != edges[3].mac {
		t.Fatalf("%d members, the first is %v", len(got), got[0].MAC)
	}
	for i, p := range got[1:] {
		if p.MAC != edges[99-i].mac {
			t.Fatalf("number %d is %v", i+1, p.MAC)
		}
	}
	told := make(map[protocol.MAC]bool)
	for range 10 { // in turn, as far as there are lists
		for _, p := range peers(t, asker.ask(&protocol.Query{})) {
			told[p.MAC] = true
		}
	}
	if len(told) != len(edges) {
		t.Errorf("%d of %d members in turn", len(told), len(edges))
	}
	if r.dropped(dropListRate) != 10-listBurst+1 || r.dropped(dropControlRate) != 0 {
		t.Errorf("drops %v", r.s.refused.drops.nonzero())
	}
}

func TestNewerStatementIsPushed(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	var friends []*fakeEdge
	for i := range 80 {
		friends = append(friends, r.edge(c, fmt.Sprint("friend", i), 10+i).join())
	}
	foreign := r.edge(testCommunity("other", "k"), "foreign", 5).join()
	e := r.edge(c, "e", 1).join()
	told := func(got []sent) (n int) {
		for _, f := range friends {
			for _, p := range peers(t, f.open(got)) {
				if p.MAC != e.mac || p.Handle != e.ack.Handle {
					t.Errorf("told of %v", p.MAC)
				}
				if st, err := crypto.VerifyStatement(p.Statement); err != nil || st.Seq != e.seq {
					t.Errorf("statement %+v, %v", st, err)
				}
				n++
			}
		}
		if len(foreign.open(got)) != 0 {
			t.Error("another community was told")
		}
		return n
	}
	if n := told(r.pass(100*time.Millisecond, pace)); n != 0 {
		t.Errorf("%d were told of a newcomer", n)
	}
	e.join() // a new session, the same statement
	if n := told(r.pass(100*time.Millisecond, pace)); n != 0 {
		t.Errorf("%d were told of a rekeying", n)
	}
	e.seq++
	e.join()
	first := r.pass(pace, pace)
	if len(first) != packetsAPace {
		t.Errorf("%d packets in the first %v", len(first), pace)
	}
	if n := told(append(first, r.pass(100*time.Millisecond, pace)...)); n != len(friends) {
		t.Errorf("%d of %d were told of a restart", n, len(friends))
	}
	if p := &r.s.notices.pushes; len(p.waiting) != 0 || p.turns.Len() != 0 {
		t.Errorf("%d still wait", len(p.waiting))
	}
}

func TestPunch(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	join := func(name string, n int, rtt time.Duration) *fakeEdge {
		e := r.edge(c, name, n)
		e.connect()
		r.now = r.now.Add(rtt)
		e.register(e.request())
		return e
	}
	a, b := join("a", 1, 20*time.Millisecond), join("b", 2, 100*time.Millisecond)
	got := r.deliver(a.addr, a.seal(&protocol.Punch{Handle: b.ack.Handle}))
	for _, test := range []struct {
		to, other *fakeEdge
		delay     time.Duration
	}{{a, b, 60 * time.Millisecond}, {b, a, 20 * time.Millisecond}} {
		all := test.to.open(got)
		if len(all) != 1 || all[0].typ != protocol.MsgPunch {
			t.Fatalf("%v", all)
		}
		p, err := protocol.ParsePunch(all[0].value)
		if err != nil || p.Handle != test.other.ack.Handle || p.Seen != test.other.addr || p.Delay != test.delay {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if got := a.ask(&protocol.Punch{Handle: a.ack.Handle}, &protocol.Punch{Handle: 99}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	arranged := 0
	for range 50 {
		arranged += len(a.ask(&protocol.Punch{Handle: b.ack.Handle}))
	}
	if arranged > punchBurst {
		t.Errorf("%d punches in no time", arranged)
	}
}

func TestPunchDelays(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct{ a, b, waitA, waitB time.Duration }{
		{0, 0, punchLead, punchLead},
		{40 * ms, 40 * ms, punchLead, punchLead},
		{40 * ms, 0, punchLead, punchLead},
		{10 * ms, 110 * ms, punchLead + 50*ms, punchLead},
		{time.Hour, 200 * ms, punchLead, punchLead + 400*ms},
	} {
		if a, b := punchDelays(test.a, test.b); a != test.waitA || b != test.waitB {
			t.Errorf("%v, %v: %v, %v", test.a, test.b, a, b)
		}
	}
}
