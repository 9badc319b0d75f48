package edge

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// While no supernode answers, edges find each other through third ones with which
// both have a session (docs/NAT.md): introducers. A side address stands for each
// peer behind an introducer. Handshakes and the messages that arrange a direct path
// go to such an address, frames do not.
const (
	introducersAtOnce = 3 // that an INIT is sent through
	maxIntroduced     = 256
	introducedIdle    = 2 * time.Minute // after which a side address may be given to another peer
	forwardsRate      = 50              // packets a second that are forwarded
	forwardsBurst     = 200
	forwardRate       = 10 // the same for one peer
	forwardBurst      = 40

	// An introducer may have forwarded to us what an honest one forwards in all, and for
	// one sender what it forwards for one. It may have invented the senders, so it has a
	// part of the side addresses, and of all FORWARDED packets.
	introducedByOne = maxIntroduced / 4
	forwardedRate   = 100 // FORWARDED packets a second of all introducers
	forwardedBurst  = 400
)

// introducers are the peers that are reached through a third edge, and what is
// forwarded for others.
type introducers struct {
	peers      *peers
	pairs      pairSender
	supernodes supernodes
	sides      underlay.Sides // nil: there are none
	plane      *dataplane.Plane
	refusals   *refusals
	self       [32]byte // our static key
	isolation  *isolation
	byAddr     map[netip.AddrPort]*introduced
	forwards   bucket.Limiter
	forwarded  bucket.Limiter
}

// introduced is a peer that is reached through a third edge.
type introduced struct {
	by, to [32]byte // static keys of the introducer and of the peer
	used   time.Time
	sent   bucket.Bucket // what the introducer says that the peer has sent
}

// holds reports whether an address stands for a peer behind an introducer.
func (n *introducers) holds(a netip.AddrPort) bool { return n.byAddr[a] != nil }

// introducerOf returns the static key of the introducer that an address leads
// through.
func (n *introducers) introducerOf(a netip.AddrPort) (static [32]byte, ok bool) {
	if i := n.byAddr[a]; i != nil {
		return i.by, true
	}
	return static, false
}

// addrOf returns the address that stands for a peer behind an introducer. It is
// not valid when there are too many.
func (n *introducers) addrOf(now time.Time, by *peer, to [32]byte) netip.AddrPort {
	static := by.view.Static()
	of := 0 // side addresses behind this introducer
	for a, i := range n.byAddr {
		if i.by != static {
			continue
		}
		if i.to == to {
			i.used = now
			return a
		}
		of++
	}
	if (of >= introducedByOne || len(n.byAddr) >= maxIntroduced) && !n.makeRoom(now, static, of >= introducedByOne) {
		return netip.AddrPort{}
	}
	var side netip.AddrPort
	side = n.sides.Add(func(pkt []byte) {
		n.plane.Post(dataplane.Forwardable{Side: side, Packet: bytes.Clone(pkt)})
	})
	n.byAddr[side] = &introduced{by: static, to: to, used: now}
	return side
}

// makeRoom takes a side address from a peer, and reports whether it could: from one
// that was not used for two minutes, or else, of those from which nothing has
// authenticated, from the one that was not used for longest. own says that it has to be
// one behind the same introducer; otherwise it is one behind whoever has most.
func (n *introducers) makeRoom(now time.Time, by [32]byte, own bool) bool {
	count := make(map[[32]byte]int)
	most := 0
	for _, i := range n.byAddr {
		count[i.by]++
		most = max(most, count[i.by])
	}
	var stale, stranger netip.AddrPort
	var oldest time.Time
	for a, i := range n.byAddr {
		switch {
		case own && i.by != by:
		case now.Sub(i.used) >= introducedIdle:
			stale = a
		case !n.proven(a, i) && (own || count[i.by] == most) && (!stranger.IsValid() || i.used.Before(oldest)):
			stranger, oldest = a, i.used
		}
	}
	if !stale.IsValid() {
		stale = stranger
	}
	if !stale.IsValid() {
		return false
	}
	n.sides.Remove(stale)
	delete(n.byAddr, stale)
	return true
}

// proven reports whether a packet from the address of a peer behind an introducer has
// authenticated, and none of that peer since through another one.
func (n *introducers) proven(a netip.AddrPort, i *introduced) bool {
	p := n.peers.byStatic[i.to]
	return p != nil && p.reach.introducer == a
}

// send sends a packet for a peer behind an introducer to that introducer.
func (n *introducers) send(ev dataplane.Forwardable) {
	i := n.byAddr[ev.Side]
	if i == nil {
		return
	}
	by := n.peers.byStatic[i.by]
	if by == nil || !n.canForward(by) || len(ev.Packet) > protocol.MaxForward {
		n.refusals.note(refusedNoIntroducer, nil, "side", ev.Side)
		return
	}
	m := protocol.Forward{To: i.to, Packet: ev.Packet}
	n.pairs.send(by, m.Append)
}

// canForward reports whether a peer can be asked to forward something, or be
// forwarded something: there is a session, and a path without a supernode.
func (n *introducers) canForward(p *peer) bool {
	return p.sessions.sealing() != nil && p.view.Route().Direct.IsValid()
}

// handleForward forwards a peer's packet to another one, as its introducer.
func (n *introducers) handleForward(now time.Time, from *peer, m protocol.Forward, origin dataplane.Origin) {
	to := n.peers.byStatic[m.To]
	switch {
	case to == nil:
		n.refusals.note(refusedForwardUnknown, from)
	case !n.isolation.joins(from, to):
		n.refusals.note(refusedIsolated, from, "to", to)
	case to == from, n.holds(origin.Addr), !n.canForward(to):
		n.refusals.note(refusedForwardPath, from, "to", to)
	case !from.reach.forwards.asked.Take(now, 1, forwardRate, forwardBurst):
		n.refusals.note(refusedForwardRate, from)
	case !n.forwards.Take(now):
		n.refusals.note(refusedForwardsRate, from)
	default:
		on := protocol.Forwarded{From: from.view.Static(), Packet: m.Packet}
		n.pairs.send(to, on.Append)
	}
}

// handleForwarded handles a packet that an introducer forwards as if it had come to a
// socket. Who has sent it is the introducer's word.
func (n *introducers) handleForwarded(now time.Time, by *peer, m protocol.Forwarded, origin dataplane.Origin) {
	switch {
	case n.sides == nil || n.holds(origin.Addr) || m.From == n.self:
		n.refusals.note(refusedForwarded, by)
		return
	case !by.reach.forwards.brought.Take(now, 1, forwardsRate, forwardsBurst):
		n.refusals.note(refusedForwardedRate, by)
		return
	}
	side := n.addrOf(now, by, m.From)
	switch {
	case !side.IsValid():
		n.refusals.note(refusedIntroducedFull, by)
	case !n.byAddr[side].sent.Take(now, 1, forwardRate, forwardBurst), !n.forwarded.Take(now):
		n.refusals.note(refusedForwardedRate, by)
	default:
		n.sides.Deliver(side, m.Packet)
	}
}

// sendInit sends an INIT to a peer through introducers if no supernode carries
// it: with each attempt through the next ones.
func (n *introducers) sendInit(now time.Time, p *peer, attempt int, pkt []byte) {
	if n.supernodes.relays(p) || n.sides == nil {
		return
	}
	var list []*peer
	for _, by := range n.peers.byStatic {
		if by != p && n.canForward(by) {
			list = append(list, by)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int {
		x, y := a.view.Static(), b.view.Static()
		return bytes.Compare(x[:], y[:])
	})
	for i := range min(introducersAtOnce, len(list)) {
		by := list[(attempt*introducersAtOnce+i)%len(list)]
		if side := n.addrOf(now, by, p.view.Static()); side.IsValid() {
			n.pairs.out.SendPlain(&dataplane.Route{Direct: side}, pkt)
		}
	}
}

// routeTo returns the route of what arranges a direct path to a peer: through a
// supernode, or else through an introducer. It is nil without either.
func (n *introducers) routeTo(p *peer) *dataplane.Route {
	if n.holds(p.reach.introducer) && !n.supernodes.relays(p) {
		return &dataplane.Route{Direct: p.reach.introducer}
	}
	if r := p.view.Route(); r.Supernode != nil {
		return &dataplane.Route{Supernode: r.Supernode, Handle: r.Handle}
	}
	return nil
}
