package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// grant decides whether an applicant gets its MAC and an address, and enters
// both. holder is the edge that has the address which the applicant would rather
// have had. A refusal changes nothing, but that an edge without a right to the MAC
// may have lost it.
func (g *registrar) grant(now time.Time, a applicant) (r, holder *registration, refused *refusal) {
	m, owner := a.request, a.statement.ID
	displaced, refused := g.freeMAC(now, a)
	if refused != nil {
		return nil, nil, refused
	}
	c := g.registry.community(m.CID, m.NH)
	if c == nil {
		return nil, nil, &refusal{dropCommunities, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
	}
	defer g.registry.prune(c) // if it stays empty
	r = c.byOwner[owner]
	known := r != nil
	switch {
	case known && a.statement.Seq < r.seq:
		return nil, nil, &refusal{dropRegisterOld, protocol.Nak{Code: protocol.CodeOldStatement}}
	case !known && len(g.registry.byHandle) >= g.registry.limits.Edges:
		return nil, nil, &refusal{dropEdges, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
	case !known && !g.newcomers.Take(now, a.hop.source, newcomerRate, newcomerBurst):
		return nil, nil, &refusal{dropNewcomerRate, protocol.Nak{Code: protocol.CodeRate, Retry: retryTaken}}
	case !known:
		r = &registration{community: c, mac: m.MAC, owner: owner, handle: g.registry.freeHandle(g.random.number), place: -1}
	}
	if holder, refused = g.assignLease(now, r, m); refused != nil {
		return nil, nil, refused
	}
	if !known {
		g.registry.add(r)
	} else if r.mac != m.MAC {
		g.store.erase(r.key())
		g.registry.move(r, m.MAC)
	}
	r.announceOwner = r.announceOwner || displaced
	return r, holder, nil
}

// freeMAC makes room for an applicant at its hardware address. displaced says that
// somebody who is registered with it, and had no right to it, had to give it up.
func (g *registrar) freeMAC(now time.Time, a applicant) (displaced bool, refused *refusal) {
	c := g.registry.communities[a.request.CID]
	if c == nil {
		return false, nil
	}
	other := c.byMAC[a.request.MAC]
	if other == nil || other.owner == a.statement.ID {
		return false, nil
	}
	lasts := !other.ended(now)
	if lasts && !yields(other, a) {
		return false, &refusal{dropMACTaken, protocol.Nak{
			Code: protocol.CodeMACTaken, Retry: retryTaken, Holder: other.mac, Prefix: other.lease,
		}}
	}
	g.forget(other)
	return lasts, nil
}

// yields reports whether the holder of a hardware address gives it up before its
// lease ends: to the identity that the address follows from (PROTOCOL.md,
// section 1), unless it follows from the holder's as well.
func yields(holder *registration, a applicant) bool {
	cid, mac := a.request.CID, [6]byte(a.request.MAC)
	return crypto.MACFor(a.statement.ID[:], cid) == mac && crypto.MACFor(holder.owner[:], cid) != mac
}

// assignLease gives r the address that m asks for, or another one, or none.
func (g *registrar) assignLease(now time.Time, r *registration, m *protocol.Register) (holder *registration, refused *refusal) {
	if m.Features&protocol.FeatureNoAddress != 0 {
		g.registry.setLease(r, netip.Prefix{})
		return nil, nil
	}
	static := m.Features&protocol.FeatureStatic != 0
	holder, ok := g.registry.leaseFor(now, r, m.Prefix, static)
	switch {
	case ok:
		return holder, nil
	case holder != nil && static:
		return nil, &refusal{dropIPTaken, protocol.Nak{Code: protocol.CodeIPTaken, Retry: retryTaken, Holder: holder.mac, Prefix: m.Prefix}}
	}
	return nil, &refusal{dropPool, protocol.Nak{Code: protocol.CodePool, Retry: retryFull, Prefix: m.Prefix}}
}
