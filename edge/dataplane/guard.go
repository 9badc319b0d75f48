package dataplane

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// guard says which frames are carried, and holds what is flooded against the limits of
// storm control, in both directions.
type guard struct {
	self    protocol.MAC
	drops   *Drops
	mailbox *mailbox
	filter  bridge.Filter
	gate    *bridge.Gate          // whether hosts' frames pass; nil: we are no bridge
	sockets *bridge.Sockets       // our own, whose datagrams are not carried
	groups  *bridge.Groups[*Peer] // who has members of which; nil: all have
	bridge  bool                  // hosts may stand behind our device
	sent    *bridge.Storm
	heard   *bridge.Storm
	own     *bridge.EdgeStorm // of our own hosts
	strange bridge.Repeats    // frames of hosts that may not stand there
	seeks   *bridge.Seeks[*Peer]
}

// Members returns who has members of which multicast groups; nil: everybody gets all.
func (d *Plane) Members() *bridge.Groups[*Peer] { return d.guard.groups }

// newGuard returns the guard of a plane whose other fields are set.
func newGuard(c *Config, d *Plane) guard {
	return guard{
		self: d.self, drops: &d.drops, mailbox: d.mailbox,
		filter: c.Filter, gate: c.Gate, sockets: cmp.Or(c.Sockets, new(bridge.Sockets)), bridge: c.Bridge,
		seeks: bridge.NewSeeks[*Peer](),
		sent:  bridge.NewStorm(c.Storm, false), heard: bridge.NewStorm(c.Storm, true), own: bridge.NewEdgeStorm([32]byte{}),
		groups: newGroups(c.Transparent),
	}
}

func newGroups(transparent bool) *bridge.Groups[*Peer] {
	if transparent {
		return nil
	}
	return bridge.NewGroups[*Peer]()
}

// guarded is what the guard knows of a peer.
type guarded struct {
	standing atomic.Pointer[Standing]
	storm    *bridge.EdgeStorm
	caught   bridge.Repeats // frames that it may not send
	refused  atomic.Uint64
}

// Standing is what a peer may do here.
type Standing struct {
	Rights bridge.Rights
	Subnet netip.Prefix // that a supernode leased it an address in; not valid: none is known
	Hub    bool         // of an isolated community or a listed one, as far as is known one to exchange frames with: Rights say whether it has proved that
	Alone  bool         // no hosts are behind it: nobody else speaks for its addresses
}

// SetStanding says what the peer may do from now on.
func (p *Peer) SetStanding(s Standing) {
	if *p.guarded.standing.Load() != s {
		p.guarded.standing.Store(&s)
	}
}

// Standing returns what the peer may do.
func (p *Peer) Standing() Standing { return *p.guarded.standing.Load() }

// may reports whether the peer has all of some rights.
func (p *Peer) may(some bridge.Rights) bool { return p.guarded.standing.Load().Rights.Has(some) }

// Refused returns how many frames of the peer went no further because it may not send
// them, or not as many.
func (p *Peer) Refused() uint64 { return p.guarded.refused.Load() + p.guarded.storm.Limited() }

// refuse drops a frame that a peer may not send.
func (g *guard) refuse(now int64, p *Peer, v Violation) {
	g.drops.Drop(v.Reason)
	p.guarded.refused.Add(1)
	g.violated(now, p, &p.guarded.caught, v)
}

// violated tells the control loop of a violation now and then; p is nil for our own
// hosts.
func (g *guard) violated(now int64, p *Peer, repeats *bridge.Repeats, v Violation) {
	if n, tell := repeats.Add(now); tell {
		v.Peer, v.Count = p, n
		g.mailbox.post(v)
	}
}

// exchanges reports whether a frame of a peer in an isolated community, or in one with a
// list of members, goes on: it is of somebody whom frames are exchanged with. In an isolated
// community members exchange frames with its hubs alone (E-Tree, MEF 6.3; RFC 8317 calls
// them roots and leaves), and each holds the others to it. Floods too go in pair sessions
// there, a copy for each peer: every member has the keys of GROUP packets, so that whoever
// is no hub could make one in the name of a hub. With a list those of members count, whose
// salts they vouch for.
func (g *guard) exchanges(t *Table, now int64, p *Peer, group bool, src protocol.MAC) bool {
	if !(group && t.isolated) && p.may(bridge.Exchange) {
		return true
	}
	g.refuse(now, p, Violation{Reason: t.apart(), Host: src, Group: group})
	return false
}

// seek tells the control loop of a station that is to be looked for on our LAN: a frame for
// it was flooded, by a peer, or, nil, by a host of ours.
func (g *guard) seek(now int64, by *Peer, frame *bridge.Parsed) {
	key := frame.Destination()
	if g.gate == nil || key.MAC.IsGroup() || key.MAC == g.self {
		return
	}
	if addr := frame.TargetIP(); addr.IsValid() && g.seeks.Due(now, by, key, addr) {
		g.mailbox.post(StationSought{Key: key, Addr: addr})
	}
}

// mayStand reports whether hosts may stand behind our device, and tells of one that may not.
func (g *guard) mayStand(now int64, host protocol.MAC) bool {
	if !g.bridge {
		g.drops.Drop(DropNoBridge)
		g.violated(now, nil, &g.strange, Violation{Reason: DropNoBridge, Host: host})
	}
	return g.bridge
}

// calm reports whether a frame that a peer flooded is within the limits.
func (g *guard) calm(now int64, p *Peer, frame *bridge.Parsed) bool {
	ok, x, tell := g.heard.Passes(now, p.guarded.storm, frame.Src(), frame.Class(), 1)
	if ok {
		g.seek(now, p, frame)
		return true
	}
	g.drops.Drop(DropStorm)
	if tell {
		g.mailbox.post(Violation{Peer: p, Reason: DropStorm, Host: x.Source, Count: x.Count, Storm: x})
	}
	return false
}

// calmHost reports whether what a host of ours floods is within the limits: one frame,
// or as many as a super-frame becomes.
func (g *guard) calmHost(now int64, frame *bridge.Parsed, frames int) bool {
	ok, x, tell := g.sent.Passes(now, g.own, frame.Src(), frame.Class(), frames)
	if ok {
		g.seek(now, nil, frame)
		return true
	}
	g.drops.Drop(DropStormSent)
	if tell {
		g.mailbox.post(Violation{Reason: DropStormSent, Host: x.Source, Count: x.Count, Storm: x})
	}
	return false
}

// honest reports whether a peer may say what a frame of its says about addresses.
func (g *guard) honest(t *Table, now int64, p *Peer, frame *bridge.Parsed) bool {
	claim := frame.Claim()
	v := Violation{Host: frame.Src()}
	switch {
	case claim.Kind == bridge.Plain:
		return true
	case claim.Kind == bridge.ServesDHCP && !p.may(bridge.ServeDHCP):
		v.Reason = DropDHCPServer
	case claim.Kind == bridge.Advertises && !p.may(bridge.Advertise):
		v.Reason = DropRouter
	case claim.Kind == bridge.Hidden && !p.may(bridge.ServeDHCP|bridge.Advertise):
		v.Reason = DropHidden
	case claim.Foreign && !p.may(bridge.SpeakForHosts):
		v.Reason = DropForeignClaim
	default:
		if v.IP = g.stolen(t, p, claim.IPs()); !v.IP.IsValid() {
			return true
		}
		v.Reason = DropAddressTheft
	}
	g.refuse(now, p, v)
	return false
}

// stolen returns the first of some addresses that a peer cannot have, or none.
func (g *guard) stolen(t *Table, p *Peer, claimed []netip.Addr) netip.Addr {
	for _, a := range claimed {
		if p.may(bridge.SpeakForHosts) {
			if t.mayHostHave(g.bridge, p, a) {
				continue
			}
		} else if t.mayHave(g.self, p, a) {
			continue
		}
		return a
	}
	return netip.Addr{}
}

// mayHostHave reports whether a host behind a bridge may have an IP address: any but
// those of edges that are alone, whose addresses are on their devices. Those of a bridge
// may be on its LAN, for which another bridge speaks.
func (t *Table) mayHostHave(weAreBridge bool, p *Peer, a netip.Addr) bool {
	if !weAreBridge && t.isOwn(a) {
		return false
	}
	holder := t.holders.Get(a.As16())
	return holder == nil || holder == p || !holder.guarded.standing.Load().Alone
}

func (t *Table) isOwn(a netip.Addr) bool {
	return slices.ContainsFunc(t.own, func(own netip.Prefix) bool { return own.Addr() == a })
}

// mayHave reports whether a peer without hosts behind it may have an IP address. Our
// own are ours, whatever a supernode says; a member's are those that a supernode leased
// it, and the one that follows from its identity. In the networks of these nobody has
// any other. An address made of a member's hardware address is that member's. Of all
// other addresses nobody can know whose they are.
func (t *Table) mayHave(self protocol.MAC, p *Peer, a netip.Addr) bool {
	if t.isOwn(a) {
		return false
	}
	if holder := t.holders.Get(a.As16()); holder != nil {
		return holder == p
	}
	for _, own := range t.own { // ours is the community's network
		if own.Addr().Is6() && own.Contains(a) {
			return false
		}
	}
	if s := p.guarded.standing.Load(); s.Subnet.Contains(a) {
		return false
	}
	if mac, ok := bridge.ByMAC(a); ok && mac != p.mac {
		return mac != self && t.macs.Get(mac) == nil
	}
	return true
}

// listens reports whether a frame of a peer to a group goes to our device, and notes what
// it says about members behind the peer, if the peer is known to have sent it.
func (g *guard) listens(now int64, p *Peer, frame *bridge.Parsed, vouched bool) bool {
	if g.groups == nil || !bridge.Snooped(frame.Dst()) {
		return true
	}
	ok := g.groups.Received(now, frame, p, vouched)
	g.askHosts()
	if !ok {
		g.drops.Drop(DropReport)
	}
	return ok
}

// askHosts tells the control loop if hosts of ours are to be asked for their memberships.
func (g *guard) askHosts() {
	if g.groups.Woken() && !g.mailbox.post(GroupsDue{}) {
		g.groups.Wake()
	}
}
