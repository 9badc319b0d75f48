package edge

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// A stranger's first broadcast is delivered when its statement comes, and that is
// all: no session is made for it (in a big community everybody floods).
func TestStrangersFloodMakesNoSession(t *testing.T) {
	v := registered(t, nil)
	id := testIdentity(2)
	mac := protocol.MAC(id.MAC(v.self.cid))
	v.handle(noon, dataplane.Unvouched{
		Origin: dataplane.Origin{Supernode: v.s.view, Handle: 31}, Inner: fullFrame(ethernet(protocol.Broadcast, mac, 0x0806, 46)),
		XF: 2, KI: 7, Salt: [16]byte{1}, Run: 5,
	})
	_, raw := v.sign(id, mac, 1)
	m := protocol.PeerInfo{MAC: mac, Handle: 31, Statement: raw}
	v.say(noon, m.Append(nil))
	if got := len(v.device.take()); got != 1 {
		t.Errorf("%d frames delivered", got)
	}
	p := v.peers.byStatic[id.Static]
	if p == nil || p.sessions.init.active() {
		t.Error("a handshake was begun for a frame that was delivered")
	}
}

// A supernode that refuses us on a new session has us registered no more.
func TestNakOnNewSession(t *testing.T) {
	v := registered(t, nil)
	now := noon.Add(time.Minute)
	v.servers.connector.restart(now, v.s)
	v.settle(now)
	v.answer(now)
	nak := protocol.Nak{Code: protocol.CodeMACTaken, Retry: 30}
	v.say(now, nak.Append(nil))
	if v.s.registered() || v.s.state() != control.StateRefused {
		t.Errorf("registered %v, state %v", v.s.registered(), v.s.state())
	}
}

// Between the RESP and the ACK frames go on in the session that has us registered.
func TestHopRouteBeforeAck(t *testing.T) {
	v := registered(t, nil)
	p := v.neighbour(2)
	now := noon.Add(6 * time.Second)
	v.pass(now)
	if len(v.s.direct.handles) != 1 {
		t.Fatalf("DIRECT %v", v.s.direct.handles)
	}
	before := v.s.hop.session
	v.servers.connector.restart(now, v.s)
	v.settle(now)
	v.answer(now)
	if v.s.hop.session == before {
		t.Fatal("no new session")
	}
	relayedOn := func() (index uint32) {
		v.hears()
		v.sessions.pairs.sendBy(p, &dataplane.Route{Supernode: v.s.view, Handle: 2}, 0, (&protocol.About{}).Append)
		for _, d := range v.sentNow() {
			if d.to == atServer && v.s.mask.Show(v.scratch, d.pkt) {
				if h, err := protocol.ParseHeader(d.pkt); err == nil && h.Type == protocol.TypeRelay {
					index = h.RX
				}
			}
		}
		return index
	}
	if got := relayedOn(); got != before.Crypto().RemoteIndex() {
		t.Fatal("already the new one")
	}
	v.paths.routing.stop(p) // the direct path dies
	v.settle(now)
	if got := relayedOn(); got != before.Crypto().RemoteIndex() {
		t.Error("frames go in a session on which the supernode has not registered us")
	}
}

// With streams only, and none to be had, an old hop session must not spin the loop.
func TestStreamOnlySpin(t *testing.T) {
	v := registered(t, nil)
	v.servers.connector.streamOnly = true
	v.s.hop.session.Crypto()
	now := noon.Add(hopRekeyAfter + time.Second)
	for range 3 {
		v.pass(now)
	}
	if at := v.deadline(); !at.After(now) {
		t.Errorf("the loop spins: due at %v, now %v", at, now)
	}
}

// A new session knows no DIRECT set, so it is told again.
func TestDirectAfterRenewal(t *testing.T) {
	v := registered(t, nil)
	v.neighbour(2)
	now := noon.Add(6 * time.Second)
	v.pass(now)
	if len(v.s.direct.handles) != 1 {
		t.Fatalf("DIRECT %v", v.s.direct.handles)
	}
	v.servers.connector.restart(now, v.s)
	v.settle(now)
	v.answer(now)
	m := ack(3)
	v.say(now, m.Append(nil))
	if len(v.s.direct.handles) != 1 {
		t.Errorf("DIRECT %v after the renewal", v.s.direct.handles)
	}
}

var _ = netip.Addr{}

// publishedConn notes what leaves before the table is published.
type publishedConn struct {
	*memoryConn
	unpublished func() bool
	early       int
}

func (c *publishedConn) WriteBatch(ds []transport.Datagram) (int, error) {
	if c.unpublished != nil && c.unpublished() {
		c.early += len(ds)
	}
	return c.memoryConn.WriteBatch(ds)
}

// The frames that waited for a session leave after the table that opens its answers.
func TestStagedAfterTable(t *testing.T) {
	var c *publishedConn
	e := newEdge(t, func(cfg *Config) {
		c = &publishedConn{memoryConn: cfg.Queues[0].Conn.(*memoryConn)}
		cfg.Queues[0].Conn = c
	})
	p := e.introduced(2)
	e.hop()
	e.keys.use(nil) // no GROUP packet may carry it
	e.peers.setHandle(p, 0, 2)
	e.settle(noon)
	e.handle(noon, dataplane.Staged{Peer: p.view, Frame: ethernet(p.view.MAC(), e.self.mac, 0x0800, 46)})
	if len(e.sessions.staged.frames) != 1 {
		t.Fatal("not staged")
	}
	c.unpublished = e.data.draft.Changed
	e.keys.group = nil
	s, err := e.sessions.newSession(noon, p, &handshake.Result{
		Remote: p.view.Static(), Keys: crypto.SplitKeys{Send: [32]byte{1}, Recv: [32]byte{2}},
		Initiator: true, Local: 900, Far: 901, XF: protocol.XFDataGCM, KI: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	e.sessions.began(noon, p, s, dataplane.Origin{})
	e.settle(noon)
	if len(e.sessions.staged.frames) != 0 {
		t.Fatal("still staged")
	}
	if c.early != 0 {
		t.Errorf("%d datagrams left before the table was published", c.early)
	}
}

// A network that changes all the time does not hide that a supernode is silent.
func TestRoamingKeepsSilence(t *testing.T) {
	v := newServer(t, nil)
	for n := 1; n <= 20; n++ {
		now := noon.Add(time.Duration(n) * 900 * time.Millisecond)
		v.pass(now)
		v.underlay.NetworkChanged(now)
		v.settle(now)
	}
	if since := v.s.silentSince(); !since.Equal(noon) {
		t.Errorf("silent since %v, not since %v", since, noon)
	}
	if n := len(v.told(control.EventNoAnswer)); n != 1 {
		t.Errorf("told %d times that there is no answer", n)
	}
}

// TestInitOfNewcomer checks that the INIT to a peer of which a supernode just told
// leaves by that supernode: the peer's route is known before its handshake begins.
func TestInitOfNewcomer(t *testing.T) {
	v := registered(t, nil)
	id := testIdentity(2)
	mac := protocol.MAC(id.MAC(v.self.cid))
	v.handle(noon, dataplane.MACWanted{MAC: mac})
	v.sentNow()
	_, raw := v.sign(id, mac, 1)
	m := protocol.PeerInfo{MAC: mac, Handle: 31, Statement: raw}
	v.say(noon, m.Append(nil))
	p := v.peers.byStatic[id.Static]
	if p == nil || !p.sessions.init.active() {
		t.Fatal("no handshake")
	}
	relayed := 0
	for _, d := range v.sentNow() {
		if d.to == v.s.hop.at && len(d.pkt) == protocol.RelayOverhead+protocol.InitLen {
			relayed++
		}
	}
	if relayed != 1 {
		t.Errorf("%d INITs left by the supernode", relayed)
	}
}
