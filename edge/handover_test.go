package edge

import (
	"bytes"
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// successor returns an edge that goes on with a state, on a device and a socket of its own.
func (e *testEdge) successor(state []byte, now time.Time) (*testEdge, error) {
	fresh := testConfig()
	cfg := e.cfg
	cfg.Device, cfg.Queues, cfg.Host.Rand = fresh.Device, fresh.Queues, rand.NewChaCha8([32]byte{0x5f})
	next := &testEdge{tb: e.tb, device: cfg.Device.(*memoryDevice), conn: cfg.Queues[0].Conn.(*memoryConn), counted: make(map[dataplane.DropReason]uint64)}
	made, err := resume(cfg, state, now)
	if err != nil {
		return nil, err
	}
	next.Edge = made
	ctx, cancel := context.WithCancel(context.Background())
	next.background.running = ctx
	e.tb.Cleanup(func() {
		cancel()
		next.background.workers.Wait()
	})
	return next, nil
}

// busy returns an edge that has everything which is handed over: a registration, a direct
// path, a relayed one, a session that is not confirmed, hosts, frames and pieces that wait.
func busy(t *testing.T) (v *testServer, near, far *peer) {
	t.Helper()
	v = registered(t, nil)
	near, far = v.neighbour(2), v.met(3, "cellar")
	near.sessions.answer(noon, v.testEdge.session(near, noon, 7000, false), v.data.draft)
	near.sessions.half.from = dataplane.Origin{Supernode: v.s.view, Handle: 2}
	v.data.plane.Stations().Learn(v.data.plane.Since(noon), bridge.Key{MAC: protocol.MAC{2, 9}}, near.view)
	v.data.plane.Stations().Learn(v.data.plane.Since(noon), bridge.Key{MAC: protocol.MAC{2, 8}, VLAN: 7}, nil)
	v.sessions.staged.add(noon, v.introduced(4), []byte("a frame that waits"))
	v.data.plane.Join(noon, far.view, 5, 9, []byte{0, 0x40, 1, 2, 3}) // the first of two pieces
	v.settle(noon)
	v.conn.take()
	return v, near, far
}

// An edge is handed over: who takes it on has the same sessions, paths, registration, salts
// and hosts, says so in the sessions that there are, and begins no handshake.
func TestHandOver(t *testing.T) {
	v, near, far := busy(t)
	now := noon.Add(time.Second)
	state := stateOf(v.Edge, now)
	next, err := v.successor(state, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.conn.take()) != 0 || len(next.device.have) != 0 {
		t.Error("it has sent or changed something before it serves")
	}
	if err := next.begin(now); err != nil {
		t.Fatal(err)
	}
	next.tick(now)
	next.settle(now)
	if err := verify(next.Edge, now); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(next.self.statement, v.self.statement) || next.self.seq != v.self.seq {
		t.Error("it is another process for its peers")
	}
	if a, b := next.keys.group, v.keys.group; a.Salt() != b.Salt() || next.keys.salts.serial != v.keys.salts.serial {
		t.Error("it has another salt")
	}
	if s := next.servers.list[0]; !s.current() || s.grant.token != testToken || next.servers.addresses.lease != v.servers.addresses.lease || next.servers.addresses.trouble.assumed {
		t.Errorf("it is not registered: %v, %v", s.grant.offer, next.servers.addresses.lease)
	}
	for _, was := range []*peer{near, far} {
		is := next.peers.byStatic[was.view.Static()]
		a, b := is.view.Route(), was.view.Route()
		if a.Direct != b.Direct || a.Direct.IsValid() && a.Dual || a.Handle != b.Handle || a.Limit != b.Limit || a.Session.LocalIndex() != b.Session.LocalIndex() || a.Session.RemoteIndex() != b.Session.RemoteIndex() {
			t.Errorf("the route is %+v and was %+v", a, b)
		}
		if !is.identity.proven || !is.identity.bound || is.about.Name != was.about.Name || !reflect.DeepEqual(is.identity.claims.leases, was.identity.claims.leases) {
			t.Errorf("the peer is %+v and was %+v", is.identity, was.identity)
		}
	}
	if p := next.peers.byStatic[near.view.Static()]; p.sessions.next == nil || p.sessions.half.from.Handle != 2 {
		t.Error("the session that is not confirmed is gone")
	}
	if whole, done := next.data.plane.Join(now, next.peers.byStatic[far.view.Static()].view, 5, 10, []byte{0x81, 4}); !done || !bytes.Equal(whole, []byte{0x40, 1, 2, 3, 4}) {
		t.Errorf("the pieces make %x, %v", whole, done)
	}
	if list := next.data.plane.Stations().Stations(next.data.plane.Since(now)); len(list) != 2 {
		t.Errorf("hosts: %+v", list)
	}
	if n := len(next.sessions.staged.frames); n != 1 {
		t.Errorf("%d frames wait", n)
	}
	heard := &testServer{testEdge: next, s: next.servers.list[0], session: v.session, scratch: v.scratch}
	if said := types(heard.hears()); !slices.Contains(said, protocol.MsgRegister) || !slices.Contains(said, protocol.MsgPing) || !slices.Contains(said, protocol.MsgQuery) {
		t.Errorf("in the old session the supernode hears %v", said)
	}
}

// A supernode that has moved is handed over as well, whose second registration has taken the
// place of the first, and one that has said where it will be is looked for there.
func TestHandOverOfMovedSupernode(t *testing.T) {
	v, _, _ := busy(t)
	second := v.s.kin.second
	second.key, second.hop.at, second.hop.hash, second.hop.session = v.s.key, v.s.hop.at, v.s.hop.hash, v.s.hop.session
	second.grant.done, second.grant.on, second.grant.offer = true, second.hop.session, v.s.grant.offer
	v.s.hop.session, v.s.hop.old, v.s.grant.done = nil, nil, false
	second.lead()
	next, err := v.successor(stateOf(v.Edge, noon), noon)
	if err != nil {
		t.Fatal(err)
	}
	if s := next.servers.list[second.id()]; !s.current() || s.kin.first != nil || s.kin.second != next.servers.list[0] || s.hop.at != second.hop.at {
		t.Errorf("the second supernode is not the first: %v at %v", s.current(), s.hop.at)
	}
	if err := next.begin(noon); err != nil {
		t.Fatal(err)
	}

	v, _, _ = busy(t)
	v.s.where.pointer = pointer{serial: 7, host: "203.0.113.77", port: 7777}
	v.servers.connector.locator.pointers.keep(v.s)
	if next, err = v.successor(stateOf(v.Edge, noon), noon); err != nil {
		t.Fatal(err)
	}
	if err := next.begin(noon); err != nil {
		t.Fatal(err)
	}
	if p := next.servers.list[0].where.pointer; p.serial != 7 || len(p.addrs) != 1 {
		t.Errorf("it is looked for at %+v", p)
	}
}

// The serial of the list of members that the predecessor had is the successor's, although the
// state file on the disk has none or an older one.
func TestHandOverKeepsSerialOfList(t *testing.T) {
	v, _, _ := busy(t)
	had := listed{Authority: "an authority", Serial: 7}
	v.Edge.state.saved.Listed = had
	next, err := v.successor(stateOf(v.Edge, noon), noon)
	if err != nil {
		t.Fatal(err)
	}
	if is := next.Edge.state.saved.Listed; is != had {
		t.Errorf("the list that was here last is %+v, and was %+v", is, had)
	}
}

// What is handed over twice has no number twice: each of both processes skips some.
func TestHandOverNumbers(t *testing.T) {
	v, near, _ := busy(t)
	used, _ := near.view.Route().Session.Reserve(1)
	next, err := v.successor(stateOf(v.Edge, noon), noon)
	if err != nil {
		t.Fatal(err)
	}
	theirs, _ := next.data.draft.Session(near.sessions.current.Crypto().LocalIndex()).Crypto().Reserve(1)
	group, _ := next.keys.group.Reserve(1)
	old, _ := v.keys.group.Reserve(1)
	if theirs < used+16 || group < 16 || group > old {
		t.Errorf("the successor goes on with %d after %d, and %d of GROUP beside %d", theirs, used, group, old)
	}
}

// What is handed over may be cut or damaged anywhere: whoever reads it says so, or is an edge
// that is in order.
func TestHandOverDamaged(t *testing.T) {
	v, _, _ := busy(t)
	whole := stateOf(v.Edge, noon)
	try := func(state []byte) bool {
		next, err := v.successor(state, noon)
		if err != nil {
			return false
		}
		if next.begin(noon) == nil {
			next.tick(noon) // what a flipped bit made overdue, the loop does first
			next.settle(noon)
			if err := verify(next.Edge, noon); err != nil {
				t.Fatal(err)
			}
		}
		return true
	}
	if !try(whole) {
		t.Fatal("the whole state is refused")
	}
	draw := rand.New(rand.NewPCG(3, 4))
	for n := 0; n < len(whole); n += 1 + draw.IntN(len(whole)/200) {
		if try(whole[:n]) {
			t.Errorf("%d of %d bytes are taken", n, len(whole))
		}
	}
	taken := 0
	for range 300 {
		b := bytes.Clone(whole)
		b[draw.IntN(len(b))] ^= 1 << draw.IntN(8)
		if try(b) {
			taken++
		}
	}
	t.Logf("%d bytes; %d of 300 with one flipped bit are taken", len(whole), taken)
	if try(append(bytes.Clone(whole), 0)) {
		t.Error("what follows the state is ignored")
	}
}

// A successor of another version, another identity or another key says so.
func TestHandOverToAnother(t *testing.T) {
	v, _, _ := busy(t)
	state := stateOf(v.Edge, noon)
	other := bytes.Clone(state)
	other[3]++
	if _, err := v.successor(other, noon); err == nil || !strings.Contains(err.Error(), "of version 2, and this program reads version 1") {
		t.Error(err)
	}
	cfg := v.cfg
	cfg.Identity = testIdentity(77)
	if _, err := resume(cfg, state, noon); err == nil || !strings.Contains(err.Error(), "another identity") {
		t.Error(err)
	}
	cfg = v.cfg
	cfg.Ethernet.MAC = [6]byte{2, 7}
	if _, err := resume(cfg, state, noon); err == nil || !strings.Contains(err.Error(), "another hardware address") {
		t.Error(err)
	}
	cfg = v.cfg
	cfg.Supernodes = nil
	if _, err := resume(cfg, state, noon); err == nil {
		t.Error("a supernode that there is not is taken")
	}
}
