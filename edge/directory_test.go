package edge

import (
	"slices"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// wantedMAC returns the n-th of many addresses.
func wantedMAC(n int) protocol.MAC { return manyHosts(n) }

// TestWantedMACs checks how often one address is asked for.
func TestWantedMACs(t *testing.T) {
	w := make(wantedMACs)
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {0, false}, {wantedAgain - 1, false}, {wantedAgain, true}, {wantedAgain + 1, false}, {2 * wantedAgain, true}} {
		if got := w.add(noon.Add(c.at), wantedMAC(1)); got != c.want {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
	if !w.remove(wantedMAC(1)) || w.remove(wantedMAC(1)) || w.remove(wantedMAC(2)) {
		t.Error("remove does not forget, or invents")
	}
	if !w.add(noon, wantedMAC(1)) {
		t.Error("an address that was found cannot be wanted again")
	}
}

// TestWantedMACsBound fills the table: what is in it is asked for as ever,
// what is not has to wait until something is older than ten seconds.
func TestWantedMACsBound(t *testing.T) {
	w := make(wantedMACs)
	for n := range wantedMax {
		if !w.add(noon.Add(time.Duration(n)), wantedMAC(n)) {
			t.Fatalf("refused at %d", n)
		}
	}
	if w.add(noon.Add(wantedFor), wantedMAC(1000)) || len(w) != wantedMax {
		t.Errorf("%d addresses", len(w))
	}
	if !w.add(noon.Add(wantedAgain), wantedMAC(0)) {
		t.Error("an address in the full table is not asked for again")
	}
	// All but that one are from the first nanoseconds.
	if !w.add(noon.Add(wantedFor+100), wantedMAC(1000)) {
		t.Error("no room after ten seconds")
	}
	if want := wantedMax - 99 + 1; len(w) != want {
		t.Errorf("%d addresses, want %d", len(w), want)
	}
}

// fakeSessions notes what the directory asks of the sessions.
type fakeSessions struct {
	did      []string
	withhold bool
}

func (f *fakeSessions) initiate(*peer)           { f.did = append(f.did, "initiate") }
func (f *fakeSessions) restart(time.Time, *peer) { f.did = append(f.did, "restart") }
func (f *fakeSessions) endHandshake(*peer)       { f.did = append(f.did, "end") }
func (f *fakeSessions) withheld(*peer) bool      { return f.withhold }

// TestPeerInfo holds what news of a member leads to.
func TestPeerInfo(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(e *testEdge, p *peer, f *fakeSessions)
		seq     uint64
		want    []string
	}{
		{"nobody wants it", func(*testEdge, *peer, *fakeSessions) {}, 1, nil},
		{"its address is wanted", func(e *testEdge, p *peer, _ *fakeSessions) { e.servers.directory.wanted.add(noon, p.view.MAC()) }, 1, []string{"initiate"}},
		{"frames of it wait", func(_ *testEdge, _ *peer, f *fakeSessions) { f.withhold = true }, 1, []string{"initiate"}},
		{"known from the last run", func(_ *testEdge, p *peer, _ *fakeSessions) { p.recalled = true }, 1, []string{"end", "initiate"}},
		{"another process, with a session", func(e *testEdge, p *peer, _ *fakeSessions) { e.promote(p, e.session(p, noon, 1, true)) }, 2, []string{"restart"}},
		{"the same process, with a session", func(e *testEdge, p *peer, _ *fakeSessions) { e.promote(p, e.session(p, noon, 1, true)) }, 1, nil},
		{"another process, without one", func(*testEdge, *peer, *fakeSessions) {}, 2, nil},
	} {
		e, f := newEdge(t, nil), new(fakeSessions)
		p, id := e.introduced(2), testIdentity(2)
		c.prepare(e, p, f)
		d := e.servers.directory
		d.sessions = f
		_, raw := e.sign(id, id.MAC(e.self.cid), c.seq)
		d.handlePeerInfo(noon, e.servers.list[0], protocol.PeerInfo{MAC: p.view.MAC(), Handle: 12, Statement: raw})
		if !slices.Equal(f.did, c.want) || p.handles[0] != 12 || p.recalled {
			t.Errorf("%s: %v, handle %d", c.name, f.did, p.handles[0])
		}
	}
	// What a supernode says of ourselves is no peer.
	e := newEdge(t, nil)
	e.servers.directory.handlePeerInfo(noon, e.servers.list[0], protocol.PeerInfo{MAC: e.self.mac, Handle: 12, Statement: e.self.statement})
	if len(e.peers.byStatic) != 0 || len(e.drops()) != 0 {
		t.Errorf("%d peers, counted %v", len(e.peers.byStatic), e.drops())
	}
}

// TestAsking holds what supernodes are asked: for an address that frames go to, for
// the sender of a packet that they relayed, for a statement that is missing, and for
// a peer in use that only others know.
func TestAsking(t *testing.T) {
	v := registered(t, nil)
	asked := func() (list []protocol.Query) {
		for _, m := range v.hears() {
			if q, err := protocol.ParseQuery(m.value); m.typ == protocol.MsgQuery && err == nil {
				list = append(list, q)
			}
		}
		return list
	}
	for range 2 {
		v.handle(noon, dataplane.MACWanted{MAC: host(1)})
	}
	if got := asked(); !slices.Equal(got, []protocol.Query{{MAC: host(1)}}) {
		t.Errorf("for an address: %v", got)
	}
	v.handle(noon, dataplane.Unvouched{Origin: dataplane.Origin{Supernode: v.s.view, Handle: 31}, Inner: numbered(1)})
	v.handle(noon, dataplane.Unvouched{Origin: atPeer, Inner: numbered(1)})
	if got := asked(); !slices.Equal(got, []protocol.Query{{Handle: 31}}) {
		t.Errorf("for a sender: %v", got)
	}
	p := v.peers.meet(noon, testIdentity(2).Static)
	v.promote(p, v.testEdge.session(p, noon, 1, true))
	p.sessions.claimed = host(2)
	v.settle(noon)
	v.peers.setHandle(p, 0, 32)
	v.pass(noon.Add(askEvery))
	if got := asked(); !slices.Equal(got, []protocol.Query{{MAC: host(2)}, {Handle: 32}}) {
		t.Errorf("for a statement: %v", got)
	}
	q := v.introduced(3)
	v.handle(noon.Add(askEvery), dataplane.Needed{Peer: q.view})
	if got := asked(); !slices.Contains(got, protocol.Query{MAC: q.view.MAC()}) {
		t.Errorf("for a peer in use: %v", got)
	}
	v.servers.directory.queries = bucket.NewLimiter(0, 0)
	v.handle(noon, dataplane.MACWanted{MAC: host(7)})
	if got := asked(); len(got) != 0 || v.drops()["query-rate"] != 1 {
		t.Errorf("without tokens: %v", got)
	}
}
