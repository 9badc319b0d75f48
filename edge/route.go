package edge

import (
	"cmp"
	"net/netip"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// compute returns how frames to a peer are to travel now: directly, through a
// supernode, or both at once (Dual). It depends on nothing but the state of the
// owners, so that it can be held against what was published at any time.
func (r *routing) compute(p *peer) dataplane.Route {
	to := dataplane.Route{Session: p.sessions.sealing(), Limit: dataplane.MaxDatagramIPv4}
	if to.Session != nil {
		to.Partial, to.ECN = p.sessions.current.Partial(), p.sessions.current.ECN()
	}
	if p.reach.path != nil {
		found := p.reach.path.Route()
		to.Direct = found.Direct
		to.ECN = to.ECN && found.Kind != address.KindTURN // a TURN server passes no marks on
		to.Dual = found.Relay && !(r.plane.NoRelay() && found.Direct.IsValid())
		if to.Direct.IsValid() && to.Direct.Addr().Is6() {
			to.Limit = dataplane.MaxDatagramIPv6
		}
		if found.MTU > 0 {
			to.Limit = min(to.Limit, found.Payload())
		}
	}
	if s := r.supernodes.relayFor(p); s != nil {
		to.Supernode, to.Handle = s.view, p.handles[s.id()]
		if spare := r.supernodes.spareFor(p, s); spare != nil {
			to.Spare, to.SpareAs = spare.view, p.handles[spare.id()]
		}
	}
	to.Alone = to.Direct.IsValid() && p.reach.quality.trains.Ended()
	if p.reach.avoids() && to.Supernode != nil {
		to.Direct, to.Dual = netip.AddrPort{}, true
	}
	to.Local = r.sourceTo(p, to.Direct)
	size := &p.reach.relay.size
	if to.Supernode != p.view.Route().Supernode {
		size = new(relaySize) // it has yet to be measured
		*size = newRelaySize()
	}
	to.RelayLimit = size.limit()
	return to
}

// route publishes how frames to a peer travel now, if that has changed. It
// reports whether there is a next hop that was not there before.
func (r *routing) route(now time.Time, p *peer) (gained bool) {
	to, old := r.compute(p), p.view.Route()
	r.noteDirect(p, &to)
	if to == old {
		return false
	}
	if to.Supernode != old.Supernode {
		p.reach.relay.restart()
	}
	if old.OnlyDirect() && !to.OnlyDirect() {
		r.supernodes.doubtDirect() // before a flood can leave by the new route
	}
	if to.Direct == old.Direct && to.Limit < old.Limit {
		r.log.Info("the direct path loses large packets, frames are cut for it", "peer", p, "datagram", to.Limit)
	}
	p.view.SetRoute(to)
	if was, is := old.NextHop(), to.NextHop(); was != is {
		p.reach.since = now
		r.log.Debug("next hop", "peer", p, "direct", to.Direct, "relay", r.supernodes.name(to.Supernode), "both", to.Dual, "spare", r.supernodes.name(to.Spare), "session", to.Session != nil)
	}
	if r.changesGroupPacket(&old, &to) {
		r.group.changed = true
	}
	return to.Session != nil && (to.Direct.IsValid() && !old.Direct.IsValid() || to.Supernode != nil && old.Supernode == nil)
}

// noteDirect notes whether a peer's place in the DIRECT sets changes: a peer is in
// them that has its hardware address and gets frames by no relay, under the handles
// by which the supernodes know it.
func (r *routing) noteDirect(p *peer, to *dataplane.Route) {
	var in [maxSupernodes]uint32
	if p.inDirectSet(to) {
		in = p.handles
	}
	if in != p.reach.direct {
		p.reach.direct, r.directChanged = in, true
	}
}

// inDirectSet reports whether a peer that is reached by a route needs no copy of our
// floods from supernodes.
func (p *peer) inDirectSet(to *dataplane.Route) bool {
	return p.identity.bound && to.Session != nil && to.OnlyDirect()
}

// maxGroupPacket is the largest GROUP packet in bytes, where no path is narrower.
const maxGroupPacket = dataplane.MaxDatagramRelayed - protocol.RelayOverhead

// changesGroupPacket reports whether the largest GROUP packet may be another one
// after a change of a route: one that is narrower than all others has come, or one
// of the narrowest has gone. With most changes it is not, so they do not cost a look
// at every peer.
func (r *routing) changesGroupPacket(old, to *dataplane.Route) bool {
	now := cmp.Or(r.group.packet, maxGroupPacket)
	came := to.Session != nil && to.LeastPacket() < now
	gone := old.Session != nil && old.LeastPacket() <= now && now < maxGroupPacket
	return came || gone
}

// sizeGroup finds the largest GROUP packet that reaches everybody: a flood is
// sealed once for all.
func (r *routing) sizeGroup() {
	if !r.group.changed {
		return
	}
	r.group.changed = false
	r.group.packet = r.largestGroupPacket()
	r.plane.SetGroupPacket(r.group.packet)
}

// largestGroupPacket returns the bytes of the largest GROUP packet that every peer
// with a session gets, by whichever of its paths.
func (r *routing) largestGroupPacket() int {
	least := maxGroupPacket
	for _, p := range r.peers.byStatic {
		if to := p.view.Route(); to.Session != nil {
			least = min(least, to.LeastPacket())
		}
	}
	return least
}

// judge moves a peer's frames to the relayed path or back, by what was lost. The rule
// is in quality.go.
func (r *routing) judge(now time.Time, p *peer) {
	machine := p.reach.path
	if machine == nil || r.plane.NoRelay() {
		return
	}
	q := &p.reach.quality
	before := q.avoided
	q.judge(now, machine.Route().Direct, machine.Loss(), p.reach.relay.loss)
	if q.avoided == before {
		return
	}
	lost, of := machine.Loss().Count()
	text := "frames go directly again"
	if q.avoided {
		p.reach.watchRelay(now)
		text = "the direct path loses packets, frames go by relay"
	}
	r.log.Info(text, "peer", p, "lost", lost, "of", of)
}
