package edge

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
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
	reported []Event
	counted  map[dataplane.DropReason]uint64 // by dropped, when it was called last
}

// dropped returns how often something was dropped for a reason since the last
// call.
func (e *testEdge) dropped(r dataplane.DropReason) uint64 {
	before, now := e.counted[r], e.drops.Count(r)
	e.counted[r] = now
	return now - before
}

// hosts returns how many hosts the edge has learned.
func (e *testEdge) hosts() int {
	n, _ := e.plane.HostCount()
	return n
}

// newEdge returns an edge that has begun at noon but does not run.
func newEdge(tb testing.TB, change func(*Config)) *testEdge {
	cfg := testConfig()
	e := &testEdge{tb: tb, device: cfg.Device.(*memoryDevice), conn: cfg.Queues[0].Conn.(*memoryConn), counted: make(map[dataplane.DropReason]uint64)}
	cfg.Host.Report = func(ev Event) { e.reported = append(e.reported, ev) }
	if change != nil {
		change(&cfg)
	}
	made, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	e.Edge = made
	e.running = context.Background()
	if err := e.begin(e.running, noon); err != nil {
		tb.Fatal(err)
	}
	return e
}

// statement signs one for an identity.
func (e *testEdge) sign(id *crypto.Identity, mac protocol.MAC, seq uint64) (crypto.Statement, []byte) {
	st := crypto.Statement{ID: [32]byte(id.ID), Static: id.Static, CID: e.cid, MAC: [6]byte(mac), Seq: seq, Expiry: 1 << 40}
	return st, id.SignStatement(st)
}

// introduced returns a peer whose statement is known, with its derived address.
func (e *testEdge) introduced(n byte) *peer {
	id := testIdentity(n)
	p := e.meet(noon, id.Static)
	st, raw := e.sign(id, id.MAC(e.cid), 1)
	e.learnStatement(p, st, raw, 0)
	e.publish(noon)
	return p
}

// session makes a pair session with a peer, as one end of a handshake would.
func (e *testEdge) session(p *peer, at time.Time, index uint32, initiator bool) *dataplane.Session {
	entry, err := e.newSession(at, p, crypto.SplitKeys{Send: [32]byte{1, byte(index)}, Recv: [32]byte{2, byte(index)}},
		e.keys.group.KI(), index, index+1, 0, initiator)
	if err != nil {
		e.tb.Fatal(err)
	}
	return entry
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
	d, sources := e.draft, 0
	for range d.Sources() {
		sources++
	}
	if d.Changed() || !d.CanReceive(7) || d.Group() == nil || sources != 1 || d.List() {
		t.Errorf("draft %+v", d)
	}
	st, err := crypto.VerifyStatement(e.statement)
	if err != nil || protocol.MAC(st.MAC) != e.plane.Self() || st.CID != e.cid || st.Seq != uint64(noon.UnixMilli()) {
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
	if !e.plane.HelloMask().Show(crypto.NewScratch(), sent[0].pkt) {
		t.Fatal("no packet")
	}
	if nonce, err := protocol.ParseHello(sent[0].pkt); err != nil || nonce != e.links[0].hello.nonce {
		t.Errorf("%v %v", nonce, err)
	}
}

// TestBeginEnded checks that an edge does not start under a schedule that is
// over.
func TestBeginEnded(t *testing.T) {
	cfg := testConfig()
	cfg.Community.Fail, cfg.Community.Epochs[0].Until = true, noon
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.running = t.Context()
	if err := e.begin(e.running, noon); err != ErrScheduleEnded {
		t.Errorf("%v, want ErrScheduleEnded", err)
	}
}
