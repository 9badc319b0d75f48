package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/network"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/lists"
)

// registry holds the registrations of all communities. It has no clock and no
// socket; times come as arguments.
type registry struct {
	limits      Limits
	pool        netip.Prefix // zero: each community its own
	communities map[[16]byte]*community
	list        []*community // the same, in no order
	names       map[[32]byte]*name
	byHandle    map[uint32]*registration
	all         []*registration  // in no order
	online      int              // registrations with a live session, over all communities
	statics     map[[32]byte]int // static keys that are registered, and how often
	shares      shares
	front       *front
	totals      totals
	events      *eventLog // nil: nobody reads of communities
	lists       *lists.Table
}

// totals count from the start.
type totals struct {
	accepted uint64 // REGISTERs, refreshes included
	traffic  admin.Traffic
}

// name is what communities have in common whose names have the same hash.
type name struct {
	communities int
	online      int // registrations with a live session
}

func newRegistry(limits Limits, pool netip.Prefix, front *front) *registry {
	g := &registry{
		limits:      limits,
		pool:        pool,
		communities: make(map[[16]byte]*community),
		names:       make(map[[32]byte]*name),
		byHandle:    make(map[uint32]*registration),
		statics:     make(map[[32]byte]int),
		front:       front,
	}
	g.shares = newShares(&g.limits, front)
	return g
}

// knows reports whether an edge with that static key is registered.
func (g *registry) knows(static [32]byte) bool { return g.statics[static] > 0 }

// statement returns what the edge with a hardware address has said of itself, nil if there is
// none. It has been verified, and never changes.
func (g *registry) statement(cid [16]byte, mac protocol.MAC) []byte {
	c := g.communities[cid]
	if c == nil || c.byMAC[mac] == nil {
		return nil
	}
	return c.byMAC[mac].statement
}

// setStatement replaces what a registered edge says of itself; nil only forgets it.
func (g *registry) setStatement(r *registration, statement []byte) {
	if old, ok := r.static(); ok {
		if g.statics[old]--; g.statics[old] == 0 {
			delete(g.statics, old)
		}
	}
	r.statement = statement
	if static, ok := r.static(); ok {
		g.statics[static]++
	}
}

// community returns the community with this id. When it is new it is made, and counted
// for the source of the edge that brings it, which has to be added next.
func (g *registry) community(id [16]byte, nameHash [32]byte, source netip.Addr) *community {
	if c := g.communities[id]; c != nil {
		return c
	}
	n := g.names[nameHash]
	if n == nil {
		n = new(name)
		g.names[nameHash] = n
	}
	pool, core := poolOf(g.pool, id)
	c := &community{
		id: id, nameHash: nameHash, pool: pool, addresses: addresses{core: core}, name: n, late: n.online > 0, crowd: crowd{source: source},
		byMAC:   make(map[protocol.MAC]*registration),
		byOwner: make(map[[32]byte]*registration),
		byAddr:  make(map[netip.Addr]*registration),
		seen:    make(map[netip.Addr]int),
	}
	n.communities++
	g.communities[id] = c
	c.crowd.number = len(g.list)
	g.list = append(g.list, c)
	g.shares.count(network.Of(source), 0, 1)
	return c
}

// rename notes the hash of a community's name, which an edge has shown that knew more than
// the first one.
func (g *registry) rename(c *community, nameHash [32]byte) {
	if c.nameHash == nameHash {
		return
	}
	n := g.names[nameHash]
	if n == nil {
		n = new(name)
		g.names[nameHash] = n
	}
	n.communities++
	n.online += len(c.online)
	c.name.online -= len(c.online)
	if c.name.communities--; c.name.communities == 0 {
		delete(g.names, c.nameHash)
	}
	c.name, c.nameHash = n, nameHash
}

// prune removes a community without registrations.
func (g *registry) prune(c *community) {
	if len(c.byMAC) > 0 || g.communities[c.id] != c {
		return
	}
	delete(g.communities, c.id)
	last := g.list[len(g.list)-1]
	g.list[c.crowd.number], last.crowd.number = last, c.crowd.number
	g.list[len(g.list)-1] = nil
	g.list = g.list[:len(g.list)-1]
	g.shares.count(network.Of(c.crowd.source), 0, -1)
	if c.name.communities--; c.name.communities == 0 {
		delete(g.names, c.nameHash)
	}
	if c.crowd.deserted != nil {
		g.shares.deserted.Remove(c.crowd.deserted)
		c.crowd.deserted = nil
	}
}

// add enters a new registration. Its MAC, owner and handle are free. setOnline has to
// follow, or setVisitor if its edge is not here.
func (g *registry) add(r *registration) {
	r.place = -1
	r.seat.number = len(g.all)
	g.all = append(g.all, r)
	r.community.byMAC[r.mac] = r
	r.community.byOwner[r.owner] = r
	g.byHandle[r.handle] = r
	g.shares.count(network.Of(r.seat.source), 1, 0)
	if static, ok := r.static(); ok {
		g.statics[static]++
	}
}

// remove removes a registration, which has no session any more.
func (g *registry) remove(r *registration) {
	c := r.community
	g.setOffline(r)
	g.unsetVisitor(r)
	g.setLease(r, netip.Prefix{})
	delete(c.byMAC, r.mac)
	delete(c.byOwner, r.owner)
	delete(g.byHandle, r.handle)
	last := g.all[len(g.all)-1]
	g.all[r.seat.number], last.seat.number = last, r.seat.number
	g.all[len(g.all)-1] = nil
	g.all = g.all[:len(g.all)-1]
	g.shares.count(network.Of(r.seat.source), -1, 0)
	g.setDeserted(c)
	g.setStatement(r, nil)
	g.prune(c)
}

// setVisitor notes whether a registration, and with it its community, makes room for
// newcomers.
func (g *registry) setVisitor(r *registration) {
	c := r.community
	if visits := r.place < 0 && !r.familiar(); visits && r.seat.visit == nil {
		r.seat.visit = g.shares.visitors.Add(r.seat.source, r)
		c.crowd.visitors++
	} else if !visits && r.seat.visit != nil {
		g.unsetVisitor(r)
	}
	g.setDeserted(c)
}

// unsetVisitor notes that a registration makes no room any more.
func (g *registry) unsetVisitor(r *registration) {
	if r.seat.visit != nil {
		g.shares.visitors.Remove(r.seat.visit)
		r.seat.visit = nil
		r.community.crowd.visitors--
	}
}

// setDeserted notes whether a community has visitors only.
func (g *registry) setDeserted(c *community) {
	if deserted := c.crowd.visitors == len(c.byMAC); deserted && c.crowd.deserted == nil {
		c.crowd.deserted = g.shares.deserted.Add(c.crowd.source, c)
	} else if !deserted && c.crowd.deserted != nil {
		g.shares.deserted.Remove(c.crowd.deserted)
		c.crowd.deserted = nil
	}
}

// room is what makes room for a newcomer.
type room struct {
	visitor   *registration // nil: nobody has to
	member    *registration // of the same community; nil: nobody has to
	community *community    // nil: none has to
}

// roomFor returns what makes room for one more registration from a source, in a community
// that is there, or in a new one if c is nil. It returns a reason where nothing does.
func (g *registry) roomFor(source netip.Addr, c *community) (r room, reason dropReason) {
	full := false
	if c == nil {
		if r.community, full = g.shares.desertedIn(source, len(g.communities) >= g.limits.Communities); full && r.community == nil {
			return room{}, dropCommunities
		}
	}
	if r.visitor, full = g.shares.visitorIn(source, len(g.byHandle) >= g.limits.Edges); full && r.visitor == nil {
		return room{}, dropEdges
	}
	if c != nil && len(c.byMAC) >= g.limits.CommunityEdges && (r.visitor == nil || r.visitor.community != c) {
		if r.member = c.longestAway(); r.member == nil {
			return room{}, dropCommunityEdges
		}
	}
	return r, answered
}

// move gives a registration another MAC, which is free.
func (g *registry) move(r *registration, mac protocol.MAC) {
	delete(r.community.byMAC, r.mac)
	r.mac = mac
	r.community.byMAC[mac] = r
}

// moveTo notes at which address a registered edge is now.
func (g *registry) moveTo(r *registration, addr netip.AddrPort) {
	if r.place >= 0 {
		r.community.unsee(r.addr)
		r.community.see(addr)
		g.front.count(r.addr, -1)
		g.front.count(addr, 1)
	}
	r.addr = addr
}

// freeHandle returns an unused handle: a random one, or the next that is free. The
// table is bounded, and with it the steps.
func (g *registry) freeHandle(random func() uint32) uint32 {
	for h := random(); ; h++ {
		if _, used := g.byHandle[h]; !used && h != 0 && h != protocol.HandleAll {
			return h
		}
	}
}

// member returns the registration with this handle, if it is one of c.
func (g *registry) member(c *community, handle uint32) *registration {
	if r := g.byHandle[handle]; r != nil && r.community == c {
		return r
	}
	return nil
}

// setLease replaces the lease of r; the zero prefix only frees the old one. Whoever had
// the new one loses it.
func (g *registry) setLease(r *registration, p netip.Prefix) {
	c := r.community
	if p.IsValid() {
		if old := c.byAddr[p.Addr()]; old != nil && old != r {
			g.setLease(old, netip.Prefix{})
		}
	}
	if r.lease.IsValid() && c.byAddr[r.lease.Addr()] == r {
		delete(c.byAddr, r.lease.Addr())
		c.addresses.leased.remove(r.lease.Addr())
		if c.pool.Contains(r.lease.Addr()) {
			c.addresses.count(r.seat.source, -1)
		}
	}
	r.lease = p
	if p.IsValid() {
		c.byAddr[p.Addr()] = r
		c.addresses.leased.add(p.Addr())
		if c.pool.Contains(p.Addr()) {
			c.addresses.count(r.seat.source, 1)
		}
	}
	g.setYielding(r)
}

// setOnline notes that r has a live session.
func (g *registry) setOnline(r *registration) {
	if r.place >= 0 {
		return
	}
	c := r.community
	r.place = len(c.online)
	c.online = append(c.online, r)
	c.name.online++
	g.online++
	c.see(r.addr)
	g.front.count(r.addr, 1)
	r.arrive()
	if len(c.online) == 1 {
		c.crowd.since = r.seat.since
		g.events.occupied(c.id, c.nameHash)
		g.lists.Occupied(c.id, true)
	}
	g.setVisitor(r)
	g.setYielding(r)
}

// setOffline notes that r has no live session any more. The one that it had is still
// there, so that its last packet says how long the edge was here.
func (g *registry) setOffline(r *registration) {
	if r.place < 0 {
		return
	}
	if r.hop != nil {
		r.leave()
	}
	c := r.community
	last := c.online[len(c.online)-1]
	c.online[r.place], last.place = last, r.place
	c.online[len(c.online)-1] = nil
	c.online = c.online[:len(c.online)-1]
	r.place = -1
	if len(c.online) == 0 {
		g.events.deserted(c.id, c.nameHash, c.crowd.since, c.budget.traffic.Total())
		g.lists.Occupied(c.id, false)
	}
	c.name.online--
	g.online--
	c.unsee(r.addr)
	g.front.count(r.addr, -1)
	g.setVisitor(r)
	g.setYielding(r)
}

// choice is the address that an applicant gets.
type choice struct {
	lease  netip.Prefix  // zero: none
	holder *registration // who has the address that was wanted; nil: nobody
	yields *registration // whose lease it was, and is no more; nil: nobody's
	none   bool          // it gets none, since all are used
}

// leaseFor chooses an address of c. ok is false if the wanted one cannot be had and no
// other one may be. Nothing is entered.
func (c *community) leaseFor(now time.Time, w wish) (got choice, ok bool) {
	if !w.static {
		w.prefix = c.resized(w.prefix)
	}
	if w.prefix.IsValid() {
		if !unicastNetwork(w.prefix) {
			return choice{}, false
		}
		r := c.byAddr[w.prefix.Addr()]
		if r != nil && (r == w.gone || r.owner == w.owner) {
			r = nil
		}
		if r != nil && !r.yieldsAddress(now, w.source) {
			got.holder = r
		} else if leasable(w.prefix) {
			return choice{lease: w.prefix, yields: r}, true
		}
		if w.static {
			return got, false
		}
	}
	for _, n := range []netip.Prefix{w.prefix, c.pool} {
		if !n.IsValid() {
			continue
		}
		// It keeps the address that it has, whatever would be chosen for it today.
		if same := netip.PrefixFrom(w.kept.Addr(), n.Bits()); w.kept.IsValid() && n.Masked() == same.Masked() && leasable(same) {
			got.lease = same
			return got, true
		}
		var found bool
		if got.lease, found = c.free(n, w.owner); found {
			return got, true
		}
		if w.gone != nil && w.gone.lease.Masked() == n.Masked() && leasable(w.gone.lease) {
			got.lease = w.gone.lease
			return got, true
		}
	}
	if r := c.addresses.victim(now, w.source); r != nil {
		got.lease, got.yields = netip.PrefixFrom(r.lease.Addr(), c.pool.Bits()), r
		return got, leasable(got.lease)
	}
	got.none = true
	return got, true
}
