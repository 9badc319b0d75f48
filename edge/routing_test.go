package edge

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/nat/address"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// memorySocket is a further socket of a path.
type memorySocket struct {
	sent    []sentDatagram
	closed  bool
	receive func(netip.AddrPort, []byte)
}

func (s *memorySocket) Send(to netip.AddrPort, _ uint8, pkt []byte) {
	s.sent = append(s.sent, sentDatagram{to, append([]byte(nil), pkt...)})
}
func (s *memorySocket) Close() error { s.closed = true; return nil }

// TestPathSockets opens sockets of a path's own as it asks for them, until the
// system has none left, and closes them when it needs them no longer.
func TestPathSockets(t *testing.T) {
	var opened []*memorySocket
	e := newEdge(t, func(c *Config) {
		withTransports(c)
		c.Transports.Open = func(receive func(netip.AddrPort, []byte)) (underlay.Socket, error) {
			if len(opened) == 3 {
				return nil, errors.New("no socket left")
			}
			opened = append(opened, &memorySocket{receive: receive})
			return opened[len(opened)-1], nil
		}
	})
	p, r := e.met(2, "roof"), e.paths.routing
	r.start(noon, p)
	m := protocol.Ping{Nonce: [8]byte{1}, Pad: protocol.MinPingPad}
	for _, n := range []int{1, 3, 2, 4} {
		r.probeBySocket(p, path.Probe{To: destination(n), Socket: n}, m)
	}
	if len(p.reach.sockets) != 3 || len(opened[0].sent) != 1 || len(opened[1].sent) != 1 || len(opened[2].sent) != 1 || e.drops()["socket-not-opened"] != 1 {
		t.Fatalf("%d sockets, counted %v", len(opened), e.drops())
	}
	opened[1].receive(destination(2), []byte{1})
	side := e.sides().delivered[0].to
	if got := e.user.describer.endpoint(p, side); got != destination(2).String() {
		t.Errorf("the far end is shown as %s", got)
	}
	r.heard(noon, p, dataplane.Origin{Addr: side})
	r.trimSockets(p) // its path knows an address of the second one
	if len(p.reach.sockets) != 1 || !opened[0].closed || opened[1].closed || !opened[2].closed {
		t.Errorf("%d sockets are left", len(p.reach.sockets))
	}
	r.closeSockets()
	if len(p.reach.sockets) != 0 || !opened[1].closed {
		t.Error("a socket outlives the edge")
	}
}

// A path whose datagrams the system refuses is doubted, or cut for; those of other
// peers are not.
func TestSendRefused(t *testing.T) {
	e := newEdge(t, nil)
	p, q := e.neighbour(2), e.neighbour(3)
	other := q.view.Route()
	e.handle(noon.Add(3*time.Second), dataplane.SendRefused{Addr: p.view.Route().Direct, TooBig: true})
	if got := p.view.Route(); got.Limit >= dataplane.MaxDatagramIPv4 {
		t.Errorf("too big: %+v", got)
	}
	e.handle(noon.Add(3*time.Second), dataplane.SendRefused{Addr: p.view.Route().Direct})
	if r := p.view.Route(); r.OnlyDirect() || q.view.Route() != other {
		t.Errorf("refused: %+v, the other one %+v", p.view.Route(), q.view.Route())
	}
	e.paths.routing.restarted(noon.Add(3*time.Second), p)
	e.paths.routing.roamed(noon.Add(3 * time.Second))
	e.settle(noon.Add(3 * time.Second))
	e.consistent()
	if r := q.view.Route(); p.view.Route().Direct.IsValid() || r.OnlyDirect() {
		t.Error("a path is not in doubt after a restart and a change of our network")
	}
}

// TestAvoided moves frames to the relay while the direct path loses packets and the
// relay none, and says so.
func TestAvoided(t *testing.T) {
	e := newEdge(t, nil)
	p := e.neighbour(2)
	at := p.view.Route().Direct
	p.reach.quality = quality{of: at, avoided: true, turn: noon.Add(time.Minute)}
	e.peers.mark(p)
	e.settle(noon)
	e.consistent()
	s := e.user.describer.path(noon, p)
	if r := p.view.Route(); r.Direct.IsValid() || !r.Dual || s.Path != control.PathRelay || !strings.Contains(s.Reason, "next try in 1m0s") {
		t.Errorf("route %+v, %+v", p.view.Route(), s)
	}
	if list := e.user.describer.list(noon); len(list) != 1 || list[0].Path != control.PathRelay || list[0].Handle != 2 {
		t.Errorf("listed as %+v", list)
	}
}

// loses has every third ping over a peer's direct path unanswered until it is lossy, and
// returns when that is.
func (e *testEdge) loses(p *peer) (now time.Time) {
	e.tb.Helper()
	sent := 0
	for now = noon.Add(6 * time.Second); !p.reach.lossy(); now = now.Add(50 * time.Millisecond) {
		if now.Sub(noon) > time.Minute {
			e.tb.Fatalf("not lossy after %d pings", sent)
		}
		p.reach.path.Used(now)
		for _, probe := range slices.Clone(p.reach.path.Poll(now).Probes) {
			if sent++; sent%3 > 0 {
				p.reach.path.Pong(now, probe.Nonce, probe.To, elsewhere)
			}
		}
	}
	return now
}

// TestAvoidedForRelayThatIsWatched pings the relay at once when frames begin to go by it,
// or when an earlier ping has had its second: nobody else finds out that the relay is
// gone, and the direct path used again.
func TestAvoidedForRelayThatIsWatched(t *testing.T) {
	for _, ago := range []time.Duration{0, 300 * time.Millisecond} {
		e := newEdge(t, nil)
		p := e.neighbour(2)
		now, probe := e.loses(p), &p.reach.relay
		due := now
		if probe.ping.forget(); ago > 0 {
			probe.ping.sent = now.Add(-ago)
			due = probe.ping.sent.Add(relayPingRetry)
		}
		probe.loss = pings(0, path.LossWindow)
		probe.timer.Set(now.Add(relayPingIn))
		e.paths.routing.judge(now, p)
		if at := probe.timer.At(); !p.reach.avoids() || !at.Equal(due) {
			t.Errorf("avoided: %t; after a ping of %v ago the next one is due in %v, want %v", p.reach.avoids(), ago, at.Sub(now), due.Sub(now))
		}
	}
}

// TestNeedOfTURN asks TURN servers for help once there was traffic without a direct
// path for three seconds, and stops when there is none.
func TestNeedOfTURN(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	e.paths.routing.start(noon, p)
	p.view.SetUsed(1)
	e.peers.mark(p)
	e.settle(noon)
	n := &p.reach.turn
	if !n.since.Equal(noon) || !n.timer.At().Equal(noon.Add(turnAfter)) {
		t.Fatalf("needed since %v, looked at again at %v", n.since, n.timer.At())
	}
	e.pass(noon.Add(turnAfter))
	if !n.timer.At().Equal(noon.Add(turnAfter + underlay.NeedLasts/2)) {
		t.Errorf("looked at again at %v", n.timer.At())
	}
	e.pass(noon.Add(inUse + underlay.NeedLasts))
	if !n.since.IsZero() || n.timer.IsSet() {
		t.Error("needed without traffic")
	}
	o := (*networkObserver)(e.Edge)
	o.Receive(noon, destination(8), turnReceiver{})
	known := sourcesOf(e)[destination(8)]
	o.Receive(noon, destination(8), nil)
	o.MappingClassified(noon, address.MappingEndpointIndependent)
	if !known || sourcesOf(e)[destination(8)] || len(e.told(control.EventMapping)) != 1 {
		t.Error("the queues are not told of a TURN server")
	}
}

type turnReceiver struct{ underlay.TURNReceiver }
