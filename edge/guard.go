package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// guard is the owner of what other members may do here with their frames: whether hosts
// stand behind them, whether they serve DHCP or route, and which overlay addresses are
// theirs. The queues hold every frame against it, and tell who broke a rule.
type guard struct {
	policy     bridge.Policy
	community  *crypto.Community
	isolation  *isolation
	addresses  *deviceAddresses
	draft      *dataplane.Draft
	directory  *directory
	violations violations
	holders    map[netip.Addr]holder
}

// holder has an overlay address, by the word of the supernode with a number, the first
// being believed before the others. Nobody else vouches for an address, least of all
// the member itself (ABOUT): the first who came with another's would keep it.
type holder struct {
	peer *peer
	rank int
}

// leased notes which address a supernode says that a peer has.
func (g *guard) leased(p *peer, s *supernode, lease netip.Prefix) {
	if !lease.IsValid() || !lease.Addr().Is4() {
		lease = netip.Prefix{}
	}
	if p.identity.claims.leases[s.id()] == lease {
		return
	}
	p.identity.claims.leases[s.id()] = lease
	if h, ok := g.holders[lease.Addr()]; lease.IsValid() && ok && h.peer != p && h.rank == s.id() {
		g.release(h.peer, lease.Addr()) // the same supernode gave it to somebody else
		h.peer.identity.claims.leases[s.id()] = netip.Prefix{}
	}
	g.directory.peers.mark(p)
}

// described notes whether a supernode says that a peer is a bridge.
func (g *guard) described(p *peer, features uint32) {
	said := hintPlain
	if features&protocol.FeatureBridge != 0 {
		said = hintBridge
	}
	if p.identity.claims.hint != said {
		p.identity.claims.hint = said
		g.directory.peers.mark(p)
	}
}

// alone reports whether no hosts are behind a peer, whose addresses are on its own device
// then: it says so itself, or a supernode does. Of whom nobody says it, it is not known.
func (p *peer) alone() bool {
	if p.view.Features() != 0 {
		return !p.view.Bridge()
	}
	return p.identity.claims.hint == hintPlain
}

// settle says what a peer may do, and gives it the addresses that are its own.
func (g *guard) settle(p *peer) {
	c := &p.identity.claims
	var kept []netip.Addr
	hold := func(a netip.Addr, rank int) {
		if h, ok := g.holders[a]; ok && h.peer != p {
			if h.rank <= rank {
				return
			}
			g.release(h.peer, a)
		}
		g.holders[a] = holder{p, rank}
		g.draft.SetHolder(a, p.view)
		kept = append(kept, a)
	}
	var standing dataplane.Standing
	for rank, lease := range c.leases {
		if !lease.IsValid() {
			continue
		}
		if !standing.Subnet.IsValid() {
			standing.Subnet = lease.Masked()
		}
		if !slices.Contains(kept, lease.Addr()) {
			hold(lease.Addr(), rank)
		}
	}
	if p.identity.bound {
		hold(g.ula(p), 0)
	}
	for _, a := range c.held {
		if !slices.Contains(kept, a) {
			g.drop(p, a)
		}
	}
	c.held = kept
	g.rights(p, &standing)
	// The queues see the standing at once. They have to know the holders before: of a
	// subnet whose holders are unknown nobody may claim an address.
	g.directory.peers.plane.Publish(g.draft)
	p.view.SetStanding(standing)
}

// rights says what a peer may do by the policy, by its role and by the hubs.
func (g *guard) rights(p *peer, standing *dataplane.Standing) {
	var id []byte
	if p.identity.proven {
		id = p.identity.statement.ID[:]
	}
	isBridge := g.isolation.admission.may(p, roster.Bridge)
	standing.Alone = p.alone() || !isBridge
	standing.Rights = g.policy.Rights(id, p.view.Bridge() && isBridge)
	expected, exchanges := g.isolation.settle(p)
	if standing.Hub = expected; exchanges {
		standing.Rights |= bridge.Exchange
	}
}

// ula returns the overlay address that follows from a peer's identity.
func (g *guard) ula(p *peer) netip.Addr {
	if c := &p.identity.claims; !c.ula.IsValid() || c.of != p.identity.statement.ID {
		c.of = p.identity.statement.ID
		c.ula = g.community.ULA(c.of[:]).Addr()
	}
	return p.identity.claims.ula
}

// forget takes all addresses of a peer that is gone.
func (g *guard) forget(p *peer) {
	for _, a := range p.identity.claims.held {
		g.drop(p, a)
	}
	p.identity.claims.held = nil
}

// release takes one address of a peer, for somebody else.
func (g *guard) release(p *peer, a netip.Addr) {
	g.drop(p, a)
	p.identity.claims.held = slices.DeleteFunc(p.identity.claims.held, func(b netip.Addr) bool { return b == a })
}

// drop ends that a peer has an address.
func (g *guard) drop(p *peer, a netip.Addr) {
	if g.holders[a].peer == p {
		delete(g.holders, a)
		g.draft.SetHolder(a, nil)
	}
}

// publish tells the queues which addresses are our own.
func (g *guard) publish() { g.draft.SetOwn(g.addresses.prefixes) }

// caught acts on what the queues have caught: the user is told, and the supernodes are
// asked again about a peer with an address that is not its own, since it may have got
// another one meanwhile.
func (g *guard) caught(now time.Time, p *peer, v dataplane.Violation) {
	if v.Reason == dataplane.DropIsolated && !v.Group && (g.isolation.exchanges(p) || !p.identity.proven && p.place.hub) {
		return // frames of a hub were faster than its statement
	}
	if v.Reason == dataplane.DropUnlisted && (g.isolation.exchanges(p) || !p.identity.proven || g.isolation.admission.list == nil) {
		return // frames of a member were faster than its statement, or than the list
	}
	g.violations.note(now, p, v)
	if v.Reason != dataplane.DropAddressTheft {
		return
	}
	for _, s := range g.directory.supernodes {
		g.directory.ask(now, s, protocol.Query{MAC: p.view.MAC()})
	}
}
