package supernode

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// registry holds the registrations of all communities. It has no clock and no
// socket; times come as arguments.
type registry struct {
	limits      Limits
	pool        netip.Prefix // zero: each community its own
	communities map[[16]byte]*community
	byName      map[[32]byte][]*community // communities whose names have the same hash
	byHandle    map[uint32]*registration
	online      int // registrations with a live session, over all communities
}

func newRegistry(limits Limits, pool netip.Prefix) *registry {
	return &registry{
		limits:      limits,
		pool:        pool,
		communities: make(map[[16]byte]*community),
		byName:      make(map[[32]byte][]*community),
		byHandle:    make(map[uint32]*registration),
	}
}

// community returns the community with this id and makes it when it is new.
// It returns nil when there is no room for one more.
func (g *registry) community(id [16]byte, nameHash [32]byte) *community {
	if c := g.communities[id]; c != nil {
		return c
	}
	if len(g.communities) >= g.limits.Communities {
		return nil
	}
	c := &community{
		id: id, nameHash: nameHash, pool: poolOf(g.pool, id),
		byMAC:   make(map[protocol.MAC]*registration),
		byOwner: make(map[[32]byte]*registration),
		byAddr:  make(map[netip.Addr]*registration),
	}
	g.communities[id] = c
	g.byName[nameHash] = append(g.byName[nameHash], c)
	return c
}

// prune removes a community without registrations.
func (g *registry) prune(c *community) {
	if len(c.byMAC) > 0 || g.communities[c.id] != c {
		return
	}
	delete(g.communities, c.id)
	same := g.byName[c.nameHash]
	for i := range same {
		if same[i] == c {
			same[i] = same[len(same)-1]
			same = same[:len(same)-1]
			break
		}
	}
	if len(same) == 0 {
		delete(g.byName, c.nameHash)
	} else {
		g.byName[c.nameHash] = same
	}
}

// add enters a new registration. Its MAC, owner and handle are free.
func (g *registry) add(r *registration) {
	r.place = -1
	r.community.byMAC[r.mac] = r
	r.community.byOwner[r.owner] = r
	g.byHandle[r.handle] = r
}

// remove removes a registration, which has no session any more.
func (g *registry) remove(r *registration) {
	c := r.community
	g.setOffline(r)
	g.setLease(r, netip.Prefix{})
	delete(c.byMAC, r.mac)
	delete(c.byOwner, r.owner)
	delete(g.byHandle, r.handle)
	g.prune(c)
}

// move gives a registration another MAC, which is free.
func (g *registry) move(r *registration, mac protocol.MAC) {
	delete(r.community.byMAC, r.mac)
	r.mac = mac
	r.community.byMAC[mac] = r
}

// freeHandle returns an unused handle made from random bits.
func (g *registry) freeHandle(random func() uint32) uint32 {
	for {
		h := random()
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

// setLease replaces the lease of r; the zero prefix only frees the old one.
func (g *registry) setLease(r *registration, p netip.Prefix) {
	if r.lease.IsValid() && r.community.byAddr[r.lease.Addr()] == r {
		delete(r.community.byAddr, r.lease.Addr())
	}
	r.lease = p
	if p.IsValid() {
		r.community.byAddr[p.Addr()] = r
	}
}

func (g *registry) setOnline(r *registration) {
	if r.place >= 0 {
		return
	}
	r.place = len(r.community.online)
	r.community.online = append(r.community.online, r)
	g.online++
}

func (g *registry) setOffline(r *registration) {
	if r.place < 0 {
		return
	}
	list := r.community.online
	last := list[len(list)-1]
	list[r.place], last.place = last, r.place
	list[len(list)-1] = nil
	r.community.online = list[:len(list)-1]
	r.place = -1
	g.online--
}

// otherKey counts the edges that have a session and are registered under the same
// community name with another key.
func (g *registry) otherKey(c *community) (n uint32) {
	for _, o := range g.byName[c.nameHash] {
		if o != c {
			n += uint32(len(o.online))
		}
	}
	return n
}

// holder returns the registration that holds an address in c, or nil when owner may
// have it: no registration, owner's own, or one whose lease has ended.
func (c *community) holder(now time.Time, a netip.Addr, owner [32]byte) *registration {
	r := c.byAddr[a]
	if r == nil || r.owner == owner || r.ended(now) {
		return nil
	}
	return r
}

// leaseFor chooses the address of r, which asked for wanted (the zero prefix:
// any), and enters it. holder is the registration that has the wanted address when r
// got another one or none; ok is false when r got none.
func (g *registry) leaseFor(now time.Time, r *registration, wanted netip.Prefix, static bool) (holder *registration, ok bool) {
	c := r.community
	if wanted.IsValid() {
		holder = c.holder(now, wanted.Addr(), r.owner)
		if holder == nil && leasable(wanted) {
			g.grantLease(r, wanted)
			return nil, true
		}
		if static {
			return holder, false
		}
	}
	inUse := func(a netip.Addr) bool { return c.holder(now, a, r.owner) != nil }
	for _, network := range []netip.Prefix{wanted, c.pool} {
		if !network.IsValid() {
			continue
		}
		// r keeps the address that it has, whatever would be chosen for it today.
		if kept := netip.PrefixFrom(r.lease.Addr(), network.Bits()); r.lease.IsValid() && network.Masked() == kept.Masked() && leasable(kept) {
			g.grantLease(r, kept)
			return holder, true
		}
		if p, found := chooseAddress(network, r.owner, inUse); found {
			g.grantLease(r, p)
			return holder, true
		}
	}
	return holder, false
}

// grantLease enters an address that is free for r. A registration whose lease
// has ended loses it here.
func (g *registry) grantLease(r *registration, p netip.Prefix) {
	if old := r.community.byAddr[p.Addr()]; old != nil && old != r {
		g.setLease(old, netip.Prefix{})
	}
	g.setLease(r, p)
}
