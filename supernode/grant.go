package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// decision is what an applicant gets, and whom it costs a registration. Nothing of it
// is done before all of it is decided, so that a refusal changes nothing.
type decision struct {
	known     *registration // nil: the applicant is new
	displaced *registration // who gives up the hardware address; nil: nobody
	lasts     bool          // displaced had a lease that lasts
	room      room          // who makes room
	choice    choice
}

// decide decides whether an applicant gets its MAC and an address. It changes nothing
// but the tokens of newcomers.
func (g *registrar) decide(now time.Time, a applicant) (d decision, refused *refusal) {
	m, owner := a.request, a.statement.ID
	c := g.registry.communities[m.CID]
	if c != nil {
		d.known = c.byOwner[owner]
		if d, refused = d.displacing(now, c, a); refused != nil {
			return d, refused
		}
	}
	if d.known != nil {
		// Once the later start has taken its leave, an earlier one that still runs may
		// come back: a clone was stopped.
		if a.statement.Seq < d.known.seq && d.known.seat.left.IsZero() {
			return d, &refusal{dropRegisterOld, protocol.Nak{Code: protocol.CodeOldStatement}}
		}
	} else if d.room, refused = g.admit(now, a, c, d.displaced != nil); refused != nil {
		return d, refused
	}
	source := lastingSource(a.hop.addr, a.hop.source)
	if d.known != nil {
		source = d.known.seat.source
	}
	d.choice, refused = g.choose(now, c, d, m, source)
	return d, refused
}

// displacing decides what becomes of somebody else who is registered with the
// applicant's hardware address.
func (d decision) displacing(now time.Time, c *community, a applicant) (decision, *refusal) {
	other := c.byMAC[a.request.MAC]
	if other == nil || other.owner == a.statement.ID {
		return d, nil
	}
	d.displaced, d.lasts = other, !other.ended(now)
	if d.lasts && !yields(other, a) {
		return d, &refusal{dropMACTaken, protocol.Nak{
			Code: protocol.CodeMACTaken, Retry: retryTaken, Holder: other.mac, Prefix: other.lease,
		}}
	}
	return d, nil
}

// yields reports whether the holder of a hardware address gives it up before its
// lease ends: to the identity that the address follows from (PROTOCOL.md,
// section 1), unless it follows from the holder's as well.
func yields(holder *registration, a applicant) bool {
	cid, mac := a.request.CID, [6]byte(a.request.MAC)
	return crypto.MACFor(a.statement.ID[:], cid) == mac && crypto.MACFor(holder.owner[:], cid) != mac
}

// admit decides whether there is room for an edge that is not registered. Whoever is
// displaced leaves its place to it, also in the share of its network. c is nil when the
// community is new.
func (g *registrar) admit(now time.Time, a applicant, c *community, displaces bool) (r room, refused *refusal) {
	if !displaces {
		var reason dropReason
		if r, reason = g.registry.roomFor(lastingSource(a.hop.addr, a.hop.source), c); reason != answered {
			return room{}, &refusal{reason, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
		}
	}
	if !g.allowance.newcomer(now, a.hop) {
		return room{}, &refusal{dropNewcomerRate, protocol.Nak{Code: protocol.CodeRate, Retry: retryTaken}}
	}
	return r, nil
}

// choose chooses the address that m asks for, or another one, or none, for an edge that
// came from a source at first. c is nil when the community is new.
func (g *registrar) choose(now time.Time, c *community, d decision, m *protocol.Register, source netip.Addr) (choice, *refusal) {
	if m.Features&protocol.FeatureNoAddress != 0 {
		return choice{}, nil
	}
	if c == nil {
		c = new(community)
		c.pool, c.addresses.core = poolOf(g.registry.pool, m.CID)
	}
	w := wish{prefix: m.Prefix, static: m.Features&protocol.FeatureStatic != 0, gone: d.displaced}
	w.owner, w.source = [32]byte(m.Statement[:32]), source
	if d.known != nil {
		w.kept = d.known.lease
	}
	got, ok := c.leaseFor(now, w)
	switch {
	case ok && now.Before(g.store.settled()) && got.lease != w.kept && got.lease != w.prefix:
		return got, &refusal{dropReturning, protocol.Nak{Code: protocol.CodeRate, Retry: retryReturning}}
	case ok:
		return got, nil
	case got.holder != nil && w.static:
		return got, &refusal{dropIPTaken, protocol.Nak{Code: protocol.CodeIPTaken, Retry: retryTaken, Holder: got.holder.mac, Prefix: m.Prefix}}
	}
	return got, &refusal{dropPool, protocol.Nak{Code: protocol.CodePool, Retry: retryFull, Prefix: m.Prefix}}
}

// grant enters what was decided: whoever has to go is forgotten, and the applicant has
// its hardware address and its lease.
func (g *registrar) grant(a applicant, d decision) *registration {
	m := a.request
	for _, gone := range []*registration{d.displaced, d.room.visitor, d.room.member} {
		if gone != nil && g.registry.byHandle[gone.handle] == gone {
			g.forget(gone)
		}
	}
	if c := d.room.community; c != nil {
		for _, gone := range c.byMAC {
			g.forget(gone)
		}
	}
	r := d.known
	if r == nil {
		source := lastingSource(a.hop.addr, a.hop.source)
		if d.displaced != nil {
			source = d.displaced.seat.source
		}
		r = &registration{
			community: g.registry.community(m.CID, a.nameHash, source), mac: m.MAC, owner: a.statement.ID,
			handle: g.registry.freeHandle(g.random.number), seat: seat{source: source},
		}
		g.registry.add(r)
	} else if r.mac != m.MAC {
		g.store.erase(r.key())
		g.registry.move(r, m.MAC)
	}
	if a.nameHash != m.NH {
		g.registry.rename(r.community, a.nameHash)
	}
	g.registry.setLease(r, d.choice.lease)
	if gone := d.choice.yields; gone != nil && g.registry.byHandle[gone.handle] == gone {
		if gone.hop != nil { // it may come back in that session, and would not know
			g.sessions.end(gone.hop)
		}
		g.store.save(gone) // without its lease
		g.log.Debug("an edge that is away gives its address up", append(gone.attributes(), "lease", r.lease, "to", r.mac.String())...)
	}
	r.announceOwner = r.announceOwner || d.lasts
	return r
}

// wish is what an applicant wants of the addresses of its community.
type wish struct {
	owner  [32]byte
	source netip.Addr    // where it came from at first
	prefix netip.Prefix  // zero: any
	static bool          // this one or none
	kept   netip.Prefix  // the lease that it has; zero: none
	gone   *registration // whose lease is free for it; nil: nobody's
}
