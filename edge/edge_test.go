package edge

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/internal/waiter"
	"hedgerow/protocol"
)

// testIdentity returns an identity that is the same in every run.
func testIdentity(n byte) *crypto.Identity { return crypto.NewIdentity([32]byte{n, 0x1d}) }

// testConfig is a configuration without faults. Its device and socket lead
// nowhere.
func testConfig() Config {
	device := &memoryDevice{}
	return Config{
		Community: testCommunity(), Identity: testIdentity(1), Name: "tested",
		Supernodes: []Supernode{{Name: "sn:7654", Host: "203.0.113.1", Port: 7654, Key: &[32]byte{9}}},
		Device:     device,
		Queues: []dataplane.Queue{{
			Frames: device, Conn: &memoryConn{addr: netip.MustParseAddrPort("192.0.2.1:4000")},
			Waiter: waiter.NewChannels(make(chan struct{})),
		}},
		Host: Host{
			Addresses: func() ([]netip.Addr, error) { return nil, nil },
			Rand:      rand.NewChaCha8([32]byte{0x5e}),
		},
	}
}

// testEdge is an edge whose control loop is driven by hand.
type testEdge struct {
	*Edge
	tb       testing.TB
	device   *memoryDevice
	conn     *memoryConn
	reported []control.Event
	counted  map[dataplane.DropReason]uint64 // by dropped, when it was called last
}

// newEdge returns an edge that has begun at noon but does not run. What it began in
// the background ends with the test.
func newEdge(tb testing.TB, change func(*Config)) *testEdge {
	tb.Helper()
	e := composed(tb, change)
	if err := e.begin(noon); err != nil {
		tb.Fatal(err)
	}
	return e
}

// composed returns an edge that has not begun.
func composed(tb testing.TB, change func(*Config)) *testEdge {
	tb.Helper()
	cfg := testConfig()
	e := &testEdge{tb: tb, device: cfg.Device.(*memoryDevice), conn: cfg.Queues[0].Conn.(*memoryConn), counted: make(map[dataplane.DropReason]uint64)}
	cfg.Host.Report = func(ev control.Event) { e.reported = append(e.reported, ev) }
	if change != nil {
		change(&cfg)
	}
	made, err := compose(cfg, noon)
	if err != nil {
		tb.Fatal(err)
	}
	e.Edge = made
	ctx, cancel := context.WithCancel(context.Background())
	e.background.running = ctx
	tb.Cleanup(func() {
		cancel()
		e.background.workers.Wait()
	})
	return e
}

// handle has the edge handle an event as its loop does, and checks that what is
// published follows from the state of the owners.
func (e *testEdge) handle(now time.Time, ev dataplane.Event) {
	e.tb.Helper()
	e.handleEvent(now, ev)
	e.settle(now)
	e.consistent()
}

// pass has the edge do what is due at a time.
func (e *testEdge) pass(now time.Time) {
	e.tb.Helper()
	e.tick(now)
	e.consistent()
}

// consistent fails unless everything that an event changed was settled: nobody
// waits to be settled, each route is the one that the owners stand for, and nothing
// is left to be published.
func (e *testEdge) consistent() {
	e.tb.Helper()
	if n := len(e.peers.changed); n != 0 {
		e.tb.Errorf("%d peers are not settled", n)
	}
	if e.data.draft.Changed() {
		e.tb.Error("the table was not published")
	}
	for _, p := range e.peers.byStatic {
		if to, is := e.paths.routing.compute(p), p.view.Route(); to != is {
			e.tb.Errorf("the route of %v is %+v, and it should be %+v", p.LogValue(), is, to)
		}
	}
}

// await has the loop take one request of a goroutine, for which it waits.
func (e *testEdge) await(now time.Time) {
	e.tb.Helper()
	select {
	case f := <-e.background.requests:
		f(now)
		e.settle(now)
	case <-time.After(10 * time.Second):
		e.tb.Fatal("nothing came from the background")
	}
}

// dropped returns how often something was dropped for a reason since the last
// call.
func (e *testEdge) dropped(r dataplane.DropReason) uint64 {
	before, now := e.counted[r], e.data.plane.Drops().Count(r)
	e.counted[r] = now
	return now - before
}

// hosts returns how many hosts the edge has learned.
func (e *testEdge) hosts() int {
	n, _ := e.data.plane.Stations().Len()
	return n
}

// sentNow returns the datagrams that left since the last call.
func (e *testEdge) sentNow() []sentDatagram {
	e.data.send.Flush()
	return e.conn.take()
}

// told returns the events of a kind that were reported.
func (e *testEdge) told(kind control.EventKind) (list []control.Event) {
	for _, ev := range e.reported {
		if ev.Kind == kind {
			list = append(list, ev)
		}
	}
	return list
}

// sign signs a statement for an identity.
func (e *testEdge) sign(id *crypto.Identity, mac protocol.MAC, seq uint64) (crypto.Statement, []byte) {
	st := crypto.Statement{ID: [32]byte(id.ID), Static: id.Static, CID: e.self.cid, MAC: [6]byte(mac), Seq: seq, Expiry: 1 << 40}
	return st, id.SignStatement(st)
}

// introduced returns a peer that has proved who it is, with its derived address.
func (e *testEdge) introduced(n byte) *peer {
	id := testIdentity(n)
	p := e.peers.meet(noon, id.Static)
	st, raw := e.sign(id, id.MAC(e.self.cid), 1)
	e.peers.prove(noon, p, st, raw)
	e.settle(noon)
	return p
}

// session makes a pair session with a peer, as one end of a handshake would.
func (e *testEdge) session(p *peer, at time.Time, index uint32, initiator bool) *dataplane.Session {
	e.tb.Helper()
	entry, err := e.sessions.newSession(at, p, &handshake.Result{
		Remote: p.view.Static(), Keys: crypto.SplitKeys{Send: [32]byte{1, byte(index)}, Recv: [32]byte{2, byte(index)}},
		Initiator: initiator, Local: index, Far: index + 1, XF: protocol.XFDataGCM, KI: e.keys.group.KI(),
	})
	if err != nil {
		e.tb.Fatal(err)
	}
	return entry
}

// promote makes a session of a peer the current one, without what an owner does
// when one begins.
func (e *testEdge) promote(p *peer, s *dataplane.Session) {
	p.sessions.promote(s, e.data.draft)
	e.peers.mark(p)
}

// hop gives the first supernode a hop session, without a registration.
func (e *testEdge) hop() *supernode {
	e.tb.Helper()
	s := e.servers.list[0]
	if s.hop.session != nil {
		return s
	}
	session, err := crypto.NewHopSession(crypto.SessionConfig{
		Keys: crypto.SplitKeys{Send: [32]byte{3, 1}, Recv: [32]byte{3, 2}}, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: 7, Remote: 8, Created: noon,
	})
	if err != nil {
		e.tb.Fatal(err)
	}
	s.init.initiator.Stop()
	s.init.retry.Stop()
	s.hop.session, s.hop.at = dataplane.NewHopSession(session, s.view, 0), s.addr()
	s.grant.on = s.hop.session
	s.publishHop()
	return s
}

// met returns a peer with a name, a session and a route by the supernode.
func (e *testEdge) met(n byte, name string) *peer {
	p := e.introduced(n)
	p.about.Name = name
	p.about.Prefixes = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64, 0, n}), 24)}
	e.hop()
	e.promote(p, e.session(p, noon, uint32(n)*100, true))
	e.peers.setHandle(p, 0, uint32(n))
	e.settle(noon)
	e.conn.take()
	return p
}

// neighbour returns a peer with a session and a direct path, which its answer to a
// ping has brought up.
func (e *testEdge) neighbour(n byte) *peer {
	e.tb.Helper()
	p := e.met(n, "")
	e.paths.routing.start(noon, p)
	e.settle(noon)
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, n}), 4000)
	e.direct(p, at)
	return p
}

// direct brings up a direct path to a peer, on which its answers take a
// millisecond.
func (e *testEdge) direct(p *peer, at netip.AddrPort) {
	e.tb.Helper()
	machine, now := p.reach.path, noon
	machine.Used(now)
	machine.Received(now, at)
	for found := machine.Route(); (found.Direct != at || found.Relay) && now.Sub(noon) < 5*time.Second; found = machine.Route() {
		probes := slices.Clone(machine.Poll(now).Probes)
		now = now.Add(time.Millisecond)
		for _, probe := range probes {
			machine.Pong(now, probe.Nonce, probe.To, elsewhere)
		}
		if len(probes) == 0 {
			now = now.Add(50 * time.Millisecond)
		}
	}
	e.peers.mark(p)
	e.settle(now)
	if r := p.view.Route(); r.Direct != at || !r.OnlyDirect() {
		e.tb.Fatalf("frames do not go to %v: %+v", at, r)
	}
	e.conn.take()
}

// TestBegin checks what an edge does first: it asks its supernode, gives the
// device its IPv6 address, and can receive.
func TestBegin(t *testing.T) {
	e := newEdge(t, nil)
	sent := e.conn.take()
	if len(sent) != 1 || sent[0].to != netip.MustParseAddrPort("203.0.113.1:7654") || len(sent[0].pkt) != protocol.InitLen {
		t.Errorf("sent %d datagrams", len(sent))
	}
	if want := []netip.Prefix{e.cfg.Community.ULA(e.cfg.Identity.ID)}; !slices.Equal(e.device.have, want) {
		t.Errorf("the device has %v, want %v", e.device.have, want)
	}
	d, sources := e.data.draft, 0
	for range d.Sources() {
		sources++
	}
	if d.Changed() || !d.CanReceive(7) || d.Group() == nil || sources != 1 || d.List() {
		t.Errorf("draft %+v", d)
	}
	st, err := crypto.VerifyStatement(e.self.statement)
	if err != nil || protocol.MAC(st.MAC) != e.data.plane.Self() || st.CID != e.self.cid || st.Seq != uint64(noon.UnixMilli()) {
		t.Errorf("statement %+v %v", st, err)
	}
	if d := e.deadline(); d.Before(noon) || d.After(noon.Add(time.Second)) {
		t.Errorf("looks again at %v", d)
	}
}

// TestCountersBeforeRun checks that the counters may be read before there is a
// data plane, and have the queues already.
func TestCountersBeforeRun(t *testing.T) {
	e, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.Counters(t.Context())
	if err != nil || len(v.Queues) != 1 || v.Drops == nil || len(v.Drops) != 0 {
		t.Errorf("%+v %v", v, err)
	}
}

// TestBeginUnpinned checks that a supernode without a known key is asked for
// it, in a datagram that no one can tell from noise.
func TestBeginUnpinned(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Supernodes[0].Key = nil })
	sent := e.conn.take()
	if len(sent) != 1 || len(sent[0].pkt) != protocol.HelloLen {
		t.Fatalf("sent %d datagrams", len(sent))
	}
	if !crypto.HelloMask(nil).Show(crypto.NewScratch(), sent[0].pkt) {
		t.Fatal("no packet")
	}
	if nonce, err := protocol.ParseHello(sent[0].pkt); err != nil || nonce != e.servers.list[0].hello.nonce {
		t.Errorf("%v %v", nonce, err)
	}
}

// TestBeginEnded checks that an edge does not start under a schedule that is
// over.
func TestBeginEnded(t *testing.T) {
	e := composed(t, func(c *Config) { c.Community.Fail, c.Community.Epochs[0].Until = true, noon })
	if err := e.begin(noon); err != ErrScheduleEnded {
		t.Errorf("%v, want ErrScheduleEnded", err)
	}
}
