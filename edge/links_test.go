package edge

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/waiter"
	"hedgerow/protocol"
)

// wire is the device of a link without a kernel.
type wire struct {
	memoryDevice
	mu     sync.Mutex
	up     bool
	closed bool
}

func (w *wire) SetCarrier(up bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = up
	return nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

func (w *wire) state() (up, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up, w.closed
}

// linkTo returns a link of a device to an identity.
func linkTo(id *crypto.Identity, w *wire) Link {
	return Link{Peer: id.ID[:crypto.LinkPrefixLen], Name: "mesh0", Device: w, Frames: w, Waiter: waiter.NewChannels(make(chan struct{}))}
}

// hinted returns a peer that a supernode told of.
func (e *testEdge) hinted(n byte) *peer {
	id := testIdentity(n)
	p := e.peers.meet(noon, id.Static)
	st, raw := e.sign(id, id.MAC(e.self.cid), 1)
	e.peers.told(noon, p, st, raw)
	e.settle(noon)
	return p
}

// begins gives a peer a session, by which it says who it is.
func (e *testEdge) begins(p *peer, n byte) {
	e.promote(p, e.session(p, noon, uint32(n)*100, true))
	e.paths.routing.start(noon, p)
	e.proves(p, n)
}

// proves has a peer say in a session who it is.
func (e *testEdge) proves(p *peer, n byte) {
	id := testIdentity(n)
	st, raw := e.sign(id, id.MAC(e.self.cid), 2)
	e.peers.prove(noon, p, st, raw)
	e.settle(noon)
}

// A named link greets its peer at a hint, is the peer's once that has proved who it is,
// and has a carrier while there is a session and a path that answers.
func TestNamedLink(t *testing.T) {
	w := new(wire)
	e := newEdge(t, func(c *Config) { c.Links.Named = []Link{linkTo(testIdentity(2), w)} })
	want := func(what string, up bool) {
		t.Helper()
		if got, closed := w.state(); got != up || closed {
			t.Errorf("%s: carrier %v, want %v; closed %v", what, got, up, closed)
		}
	}
	p := e.hinted(2)
	if !p.place.linked || !p.sessions.init.active() {
		t.Error("the peer of a link was not greeted")
	}
	want("a hint", false)
	note := func() string { return strings.Join(e.paths.links.notes(), "\n") }
	if !strings.Contains(note(), "the link mesh0 is down: its peer "+testIdentity(2).ShortID()+" is not reached") {
		t.Errorf("the notes are %q", note())
	}
	if p.view.Link() != nil {
		t.Error("a hint has the link")
	}
	e.sessions.endHandshake(p) // it gave up
	e.pass(noon.Add(keepEvery))
	if !p.sessions.init.active() {
		t.Error("the peer was not greeted again")
	}
	e.begins(p, 2)
	want("a session without a path", false)
	e.direct(p, elsewhere)
	e.settle(noon)
	want("a direct path", true)
	if note() != "" {
		t.Errorf("the notes are %q", note())
	}
	if p.view.Link() != e.paths.links.named[0].view || e.paths.links.of[p] != e.paths.links.named[0] {
		t.Error("the peer has not its link")
	}
	if d := e.user.describer.peer(noon, p); d.Link == nil || d.Link.Device != "mesh0" || !d.Link.Carrier || d.Link.Cost < costWire {
		t.Errorf("described as %+v", d.Link)
	}
	// Another hardware address: another view has the link.
	id := testIdentity(2)
	st, raw := e.sign(id, protocol.MAC{2, 9, 9, 9, 9, 9}, 3)
	e.peers.prove(noon, p, st, raw)
	e.settle(noon)
	if p.view.MAC() != (protocol.MAC{2, 9, 9, 9, 9, 9}) || p.view.Link() != e.paths.links.named[0].view {
		t.Error("the new view has not the link")
	}
	want("another hardware address", true)
	e.sessions.closed(p)
	e.settle(noon)
	want("good-bye", false)
	e.peers.forget(p)
	e.settle(noon)
	want("forgotten", false)
	if len(e.paths.links.of) != 0 {
		t.Error("a forgotten peer has a link")
	}
	if mac := e.state.linkAddresses(id.ID[:6], e.self.cid); len(mac) == 0 {
		t.Error("nobody knows where the peer is after a restart")
	}
}

// On the relayed path a link has a carrier as long as pings are answered.
func TestLinkCarrierFollowsRelay(t *testing.T) {
	w := new(wire)
	e := newEdge(t, func(c *Config) { c.Links.Named = []Link{linkTo(testIdentity(2), w)} })
	s := e.hop()
	p := e.introduced(2)
	e.peers.setHandle(p, s.id(), 12)
	e.begins(p, 2)
	if up, _ := w.state(); !up {
		t.Fatal("no carrier on the relayed path")
	}
	now := noon.Add(relayPingFirst)
	for range relayPingsLost + 1 {
		e.peers.mark(p)
		e.paths.routing.pingRelay(now, p)
		now = now.Add(relayPingRetry)
	}
	e.settle(now)
	if up, _ := w.state(); up {
		t.Error("a carrier although nothing answers")
	}
	e.paths.routing.handlePong(now, p, protocol.Pong{Nonce: p.reach.relay.ping.nonce}, dataplane.Origin{Supernode: s.view})
	e.settle(now)
	if up, _ := w.state(); !up {
		t.Error("no carrier although a ping was answered")
	}
}

// Whoever begins as the peer of a link does and is another one does not get the link.
func TestLinkHeld(t *testing.T) {
	w := new(wire)
	e := newEdge(t, func(c *Config) { c.Links.Named = []Link{linkTo(testIdentity(2), w)} })
	p, other := e.introduced(2), e.hinted(3)
	e.paths.links.named[0].Peer = nil // every identity begins so
	e.proves(other, 3)
	if other.view.Link() != nil || p.view.Link() != e.paths.links.named[0].view {
		t.Error("a second peer has the link")
	}
	if e.drops()[string(refusedLinkHeld)] == 0 {
		t.Error("it was not counted")
	}
}

// A peer with a link to us that we have no link to is named in status.
func TestMissedLink(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	if p.place.linked || len(e.paths.links.notes()) != 0 {
		t.Error("somebody has a link")
	}
	if l := p.view.Link(); l == nil {
		t.Error("what a peer sends on its own is not counted")
	}
}

// With auto each proven peer gets a device, under a number that it keeps.
func TestAutoLinks(t *testing.T) {
	devices := make(map[int]*wire)
	var mu sync.Mutex
	open := func(id [32]byte, number int) (Link, error) {
		mu.Lock()
		defer mu.Unlock()
		if number == 2 {
			return Link{}, errors.New("no room")
		}
		devices[number] = new(wire)
		k := linkTo(testIdentity(0), devices[number])
		k.Peer = id[:]
		return k, nil
	}
	dir := t.TempDir()
	var e *testEdge
	start := func() {
		e = newEdge(t, func(c *Config) { c.StateDir = dir; c.Links.Open = open })
	}
	meet := func(n byte) *peer {
		p := e.hinted(n)
		e.begins(p, n)
		e.direct(p, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, n}), 9))
		e.await(noon) // the device
		e.settle(noon)
		return p
	}
	start()
	first, second, third := meet(2), meet(3), meet(4)
	for n, p := range []*peer{first, second} {
		if k := e.paths.links.of[p]; k == nil || k.Device != LinkDevice(devices[n]) || !e.paths.links.of[p].up {
			t.Errorf("peer %d has %+v", n, k)
		}
	}
	if e.paths.links.of[third] != nil || !strings.Contains(strings.Join(e.paths.links.notes(), "\n"), "no room") {
		t.Errorf("a device that cannot be opened: %v", e.paths.links.notes())
	}
	e.peers.forget(first)
	e.settle(noon)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if up, closed := devices[0].state(); !up && closed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the device of a forgotten peer stays")
		}
	}
	e.state.keepNow()
	start() // the numbers stay
	if p := meet(3); e.paths.links.of[p] == nil || e.paths.links.of[p].Device != LinkDevice(devices[1]) {
		t.Error("another number after a restart")
	}
	if p := meet(2); e.paths.links.of[p] == nil || e.paths.links.of[p].Device != LinkDevice(devices[0]) {
		t.Error("another number after a restart")
	}
}

// Numbers are bounded: a peer without a link makes room.
func TestLinkNumbersAreBounded(t *testing.T) {
	s := new(state)
	held := func(id [32]byte) bool { return id[0] < 100 && id[1] == 0 }
	for i := range 4 * maxLinkNumbers {
		n := s.linkNumber([32]byte{byte(i), byte(i >> 8)}, held)
		if n < 0 || n > maxLinkNumbers || len(s.saved.Links) > maxLinkNumbers {
			t.Fatalf("number %d, %d entries", n, len(s.saved.Links))
		}
	}
	for i := range 100 {
		if n := s.linkNumber([32]byte{byte(i)}, held); n != i {
			t.Errorf("peer %d has number %d", i, n)
		}
	}
}

// The links of a configuration are checked.
func TestLinksValidate(t *testing.T) {
	own := testIdentity(1)
	for _, c := range []struct {
		named []Link
		want  string
	}{
		{nil, ""},
		{[]Link{linkTo(testIdentity(2), new(wire))}, ""},
		{[]Link{{Peer: own.ID[:6]}}, "not complete"},
		{[]Link{linkTo(own, new(wire))}, "with this edge itself"},
		{make([]Link, maxLinks+1), "are possible"},
	} {
		links := Links{Named: c.named}
		if err := errors.Join(links.validate(own)...); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
