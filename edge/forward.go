package edge

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// While no supernode answers, edges find each other through third ones with which
// both have a session (docs/NAT.md). Such a way has a side address. It carries
// handshakes and the messages that arrange a direct path, and no frames.
const (
	goBetweens    = 3 // edges that an INIT is sent through at a time
	maxBetween    = 256
	betweenIdle   = 2 * time.Minute // after which a way may be given up for another one
	forwardsRate  = 50              // packets a second that are handed on
	forwardsBurst = 200
	forwardRate   = 10 // the same for one peer
	forwardBurst  = 40
)

// forwarding are the ways through other edges, and what is handed on for others.
type forwarding struct {
	ways   map[netip.AddrPort]*between // by the addresses that stand for them
	budget budget
}

// between is a way to an edge through another one.
type between struct {
	via, to [32]byte // static keys
	used    time.Time
}

// alone reports whether no supernode has us registered.
func (e *Edge) alone() bool {
	return !slices.ContainsFunc(e.links, (*link).registered)
}

// isBetween reports whether an address stands for a way through another edge.
func (e *Edge) isBetween(a netip.AddrPort) bool { return e.forwarding.ways[a] != nil }

// wayBetween returns the address that stands for the way to an edge through a peer.
// It is not valid when there are too many.
func (e *Edge) wayBetween(now time.Time, via *peer, to [32]byte) netip.AddrPort {
	f := &e.forwarding
	var stale netip.AddrPort
	for a, w := range f.ways {
		if w.via == via.view.Static() && w.to == to {
			w.used = now
			return a
		}
		if now.Sub(w.used) >= betweenIdle {
			stale = a
		}
	}
	sides := e.cfg.Ways.Sides
	if len(f.ways) >= maxBetween {
		if !stale.IsValid() {
			return stale
		}
		sides.Remove(stale)
		delete(f.ways, stale)
	}
	var side netip.AddrPort
	side = sides.Add(func(pkt []byte) {
		e.plane.Post(dataplane.Forwardable{Side: side, Packet: bytes.Clone(pkt)})
	})
	f.ways[side] = &between{via: via.view.Static(), to: to, used: now}
	return side
}

// forward sends a packet for a way through another edge to that one.
func (e *Edge) forward(ev dataplane.Forwardable) {
	w := e.forwarding.ways[ev.Side]
	if w == nil {
		return
	}
	via := e.peers.byStatic[w.via]
	if via == nil || !e.canForward(via) || len(ev.Packet) > protocol.MaxForward {
		e.drops.Drop(dataplane.DropNoPath)
		return
	}
	m := protocol.Forward{To: w.to, Packet: ev.Packet}
	e.sendPair(via, m.Append)
}

// canForward reports whether a peer can be asked to hand something on, or be
// handed something: there is a session, and a path without a supernode.
func (e *Edge) canForward(p *peer) bool {
	return p.sessions.sealing() != nil && p.view.Route().Direct.IsValid()
}

// handOn sends a peer's packet on to another one.
func (e *Edge) handOn(now time.Time, from *peer, m protocol.Forward, origin dataplane.Origin) {
	to := e.peers.byStatic[m.To]
	switch {
	case to == nil, to == from, e.isBetween(origin.Addr), !e.canForward(to):
		e.drops.Drop(dataplane.DropNoPath)
	case !from.forwards.Take(now, 1, forwardRate, forwardBurst), !e.forwarding.budget.take(now):
		e.drops.Drop(dataplane.DropRateLimit)
	default:
		on := protocol.Forwarded{From: from.view.Static(), Packet: m.Packet}
		e.sendPair(to, on.Append)
	}
}

// takeForwarded takes a packet that a peer hands on as if it came by a socket.
func (e *Edge) takeForwarded(now time.Time, via *peer, m protocol.Forwarded, origin dataplane.Origin) {
	sides := e.cfg.Ways.Sides
	if sides == nil || e.isBetween(origin.Addr) || m.From == e.cfg.Identity.Static {
		e.drops.Drop(dataplane.DropNoPath)
		return
	}
	if side := e.wayBetween(now, via, m.From); side.IsValid() {
		sides.Deliver(side, m.Packet)
	}
}

// initBetween sends an INIT through other edges if no supernode carries it, each
// time through the next ones.
func (e *Edge) initBetween(now time.Time, p *peer, pkt []byte) {
	if e.relayed(p) || e.cfg.Ways.Sides == nil {
		return
	}
	var list []*peer
	for _, via := range e.peers.byStatic {
		if via != p && e.canForward(via) {
			list = append(list, via)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int {
		ka, kb := a.view.Static(), b.view.Static()
		return bytes.Compare(ka[:], kb[:])
	})
	for i := range min(goBetweens, len(list)) {
		via := list[(p.handshake.attempts*goBetweens+i)%len(list)]
		if side := e.wayBetween(now, via, p.view.Static()); side.IsValid() {
			e.sendRaw(&dataplane.Route{Direct: side}, pkt)
		}
	}
}

// callRoute returns the way for what arranges a direct path: through a supernode,
// or else through another edge. It is nil without either.
func (e *Edge) callRoute(p *peer) *dataplane.Route {
	if e.isBetween(p.between) && !e.relayed(p) {
		return &dataplane.Route{Direct: p.between}
	}
	if r := p.view.Route(); r.Supernode != nil {
		return &dataplane.Route{Supernode: r.Supernode, Handle: r.Handle}
	}
	return nil
}

// heardFrom notes the address that a peer's packet came from.
func (e *Edge) heardFrom(now time.Time, p *peer, from netip.AddrPort) {
	if e.isBetween(from) {
		p.between = from
		return
	}
	if _, ok := e.turnPeer(from); ok {
		p.path.ReceivedByTURN(now, from)
		return
	}
	p.path.Received(now, from)
}
