package edge

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"hedgerow/protocol"
)

// TURN relays (RFC 8656): the way between two edges that have neither a direct
// path nor a supernode that relays. One is allocated when it is needed, and its
// address becomes a candidate like others.
const (
	turnAfter = 3 * time.Second // of traffic without a direct path (NAT.md, section 1.1)
	turnEvery = 500 * time.Millisecond
	turnRetry = 5 * time.Second // after the first failure, doubling
	turnMost  = 5 * time.Minute
	turnWays  = 256 // peers that are reached by one relay; more are not
	maxTURN   = 4   // servers
)

// Relay is an allocation on a TURN server. *turn.Client is one.
type Relay interface {
	// Handle takes a datagram from the server. It may be called from any
	// goroutine, and keeps nothing.
	Handle(from netip.AddrPort, pkt []byte)
	// Allocate asks for a relayed address.
	Allocate(ctx context.Context) (relayed netip.AddrPort, err error)
	// Permit lets peers send to it, and Write to them.
	Permit(ctx context.Context, peers ...netip.Addr) error
	// Write sends a packet to a peer; it does not block and keeps nothing.
	Write(peer netip.AddrPort, pkt []byte) error
	// Done returns a channel that is closed when the allocation is lost.
	Done() <-chan struct{}
	// Close gives the allocation back, for which it may take a second.
	Close()
}

// RelayConfig is what a Relay is made from.
type RelayConfig struct {
	Server         netip.AddrPort
	User, Password string
	// Send sends a datagram to the server; Receive takes what a peer sent to the
	// relayed address.
	Send    func(to netip.AddrPort, pkt []byte)
	Receive func(peer netip.AddrPort, pkt []byte)
}

// TURNServer is one that the configuration names.
type TURNServer struct {
	Host           string
	Port           uint16
	User, Password string
}

// turnLink is one TURN server.
type turnLink struct {
	server  netip.AddrPort
	user    string
	secret  string
	relay   *turnRelay // nil: nothing is allocated
	asks    bool       // an allocation is being made
	tries   int
	next    time.Time // when one may be made again
	allowed []netip.Addr
	failed  string
}

// turnRelay is an allocation, and the addresses that stand for the peers behind
// it.
type turnRelay struct {
	Relay
	*sideWays
	relayed netip.AddrPort
}

// takeTURN takes on a server that a supernode hands out or the user named, or a
// newer credential for it.
func (e *Edge) takeTURN(now time.Time, s protocol.TURNServer) {
	if !s.Addr.IsValid() || e.cfg.Ways.Relay == nil || e.cfg.Ways.Sides == nil {
		return
	}
	for _, t := range e.turns {
		if t.server == s.Addr {
			t.user, t.secret = s.User, s.Password
			return
		}
	}
	if len(e.turns) == maxTURN {
		return
	}
	e.turns = append(e.turns, &turnLink{server: s.Addr, user: s.User, secret: s.Password})
	if e.turnAt.IsZero() {
		e.turnAt = now
	}
}

// turnDeadline returns when tickTURN has something to do next.
func (e *Edge) turnDeadline() time.Time {
	if len(e.turns) == 0 {
		return time.Time{}
	}
	return e.turnAt
}

// tickTURN allocates a relay for those who need one, and has it let their packets
// through.
func (e *Edge) tickTURN(now time.Time) {
	if !due(now, e.turnDeadline()) {
		return
	}
	e.turnAt = now.Add(turnEvery)
	var needy []*peer
	for _, p := range e.peers.byStatic {
		if p.path == nil || !e.active(now, p) || e.direct(p) {
			p.without = time.Time{}
		} else if p.without.IsZero() {
			p.without = now
		}
		if p.path != nil && p.sessions.sealing() != nil && (e.direct(p) && isSide(p.view.Route().Direct) ||
			!p.without.IsZero() && now.Sub(p.without) >= turnAfter) {
			needy = append(needy, p)
		}
	}
	for _, t := range e.turns {
		switch {
		case t.relay != nil:
			e.permit(t, needy)
		case len(needy) > 0 && !t.asks && !now.Before(t.next):
			e.allocate(now, t)
		}
	}
}

// direct reports whether frames to a peer go by something else than a supernode.
func (e *Edge) direct(p *peer) bool { return p.view.Route().Direct.IsValid() || p.avoids() }

// allocate asks a server for a relayed address in the background.
func (e *Edge) allocate(now time.Time, t *turnLink) {
	t.asks = true
	t.next = now.Add(min(turnRetry<<min(t.tries, 6), turnMost))
	r := &turnRelay{}
	r.sideWays = newSideWays(e.cfg.Ways.Sides, turnWays, func(far netip.AddrPort, pkt []byte) { _ = r.Write(far, pkt) })
	conn := e.cfg.Queues[0].Conn
	relay, err := e.cfg.Ways.Relay(RelayConfig{
		Server: t.server, User: t.user, Password: t.secret, Receive: r.deliver,
		Send: func(to netip.AddrPort, pkt []byte) { sendAlone(conn, to, pkt) },
	})
	if err != nil {
		e.takeRelay(now, t, nil, err)
		return
	}
	r.Relay = relay
	t.relay = r // its answers are to reach it
	e.publish(now)
	e.workers.Go(func() {
		var err error
		if r.relayed, err = relay.Allocate(e.running); err != nil {
			relay.Close()
		}
		select {
		case e.requests <- func(now time.Time) { e.takeRelay(now, t, r, err) }:
		case <-e.running.Done():
		}
		if err != nil {
			return
		}
		select {
		case <-relay.Done():
			select {
			case e.requests <- func(now time.Time) { e.endRelay(now, t, r) }:
			case <-e.running.Done():
			}
		case <-e.running.Done():
		}
		relay.Close()
	})
}

// takeRelay makes an allocation a candidate, or notes why there is none.
func (e *Edge) takeRelay(now time.Time, t *turnLink, r *turnRelay, err error) {
	t.asks = false
	if err != nil {
		t.relay = nil
		t.tries++
		if text := err.Error(); text != t.failed {
			t.failed = text
			e.host.Log.Warn("the TURN server gives no relay", "server", t.server, "err", err)
		}
		e.dirty = true
		return
	}
	t.tries, t.failed, t.allowed = 0, "", nil
	e.host.Log.Info("a TURN relay stands ready", "server", t.server, "relayed", r.relayed)
	e.gatherRelays(now)
}

// endRelay forgets an allocation that was lost.
func (e *Edge) endRelay(now time.Time, t *turnLink, r *turnRelay) {
	if t.relay != r {
		return
	}
	r.end()
	t.relay, t.allowed = nil, nil
	e.dirty = true
	e.gatherRelays(now)
}

// gatherRelays makes candidates of the allocations that there are.
func (e *Edge) gatherRelays(now time.Time) {
	a := &e.addresses
	a.sources.TURN = nil
	for _, t := range e.turns {
		if t.relay != nil && t.relay.relayed.IsValid() && !t.asks {
			a.sources.TURN = append(a.sources.TURN, t.relay.relayed)
		}
	}
	a.gather(now)
}

// permit has a relay let through what comes from the addresses of peers that need
// it.
func (e *Edge) permit(t *turnLink, needy []*peer) {
	if t.asks {
		return
	}
	var fresh []netip.Addr
	for _, p := range needy {
		for _, a := range p.path.Reachable() {
			if !slices.Contains(t.allowed, a) && !slices.Contains(fresh, a) && !a.IsPrivate() && len(t.allowed)+len(fresh) < turnWays {
				fresh = append(fresh, a)
			}
		}
	}
	if len(fresh) == 0 {
		return
	}
	t.allowed = append(t.allowed, fresh...)
	relay := t.relay
	e.workers.Go(func() {
		if err := relay.Permit(e.running, fresh...); err != nil {
			e.host.Log.Debug("the TURN server permits less than was asked for", "err", err)
		}
	})
}

// turnPeer returns the end of a side address that leads through a TURN relay.
func (e *Edge) turnPeer(side netip.AddrPort) (peer netip.AddrPort, ok bool) {
	for _, t := range e.turns {
		if t.relay != nil {
			if peer, ok := t.relay.far(side); ok {
				return peer, true
			}
		}
	}
	return netip.AddrPort{}, false
}
