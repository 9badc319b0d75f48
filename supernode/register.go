package supernode

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// expiryPause is the time between two looks for ended leases.
const expiryPause = 60 * time.Second

// How many edges that were never seen before may register from one IPv4 address
// or IPv6 /64: whole offices at once, but too few in the time that a lease lasts
// to fill the registry from one place.
const (
	newcomerRate  = 1 // a second
	newcomerBurst = 256
)

// How long a refused edge is told to wait, in seconds.
const (
	retryRate  = 1
	retryTaken = 30
	retryFull  = 60
)

// handleRegister checks and enters a registration. The same REGISTER again is
// a refresh, so an edge that lost the answer just asks again.
func (s *Server) handleRegister(x *exchange, value []byte) {
	m, err := protocol.ParseRegister(value)
	switch {
	case err != nil:
		x.refuse(dropRegister)
		return
	case !x.hop.retired.IsZero():
		x.refuse(dropRegisterRetired)
		return
	case !x.hop.control.Take(x.now, registerCost, controlRate, controlBurst):
		s.refuseRegister(x, &m, &refusal{reason: dropControlRate, nak: protocol.Nak{Code: protocol.CodeRate, Retry: retryRate}})
		return
	}
	st, refused := verifyClaims(x.hop, &m)
	if refused != nil {
		s.refuseRegister(x, &m, refused)
		return
	}
	a := applicant{hop: x.hop, request: &m, statement: st}
	r, holder, refused := s.grant(x.now, a)
	if refused != nil {
		s.refuseRegister(x, &m, refused)
		return
	}
	s.enter(x, r, a)
	s.acknowledge(x, r, holder)
}

// refusal is why a REGISTER is refused: what we count, and what the edge is told.
type refusal struct {
	reason dropReason
	nak    protocol.Nak
}

// refuseRegister refuses a REGISTER. What the debug line says of the edge is what
// it claims to be.
func (s *Server) refuseRegister(x *exchange, m *protocol.Register, why *refusal) {
	s.refused.count(why.reason, true, func() []any {
		return append(x.out.origin(x.from).attributes(), why.attributes(m)...)
	})
	x.add(&why.nak)
}

// attributes returns what a debug line says of the edge: what it claims to be.
func (why *refusal) attributes(m *protocol.Register) []any {
	claims := []any{"mac", m.MAC.String(), "community", communityText(m.CID), "wants", m.Prefix, "code", why.nak.Code}
	if len(m.Statement) >= ed25519.PublicKeySize {
		claims = append(claims, "id", crypto.ShortID(ed25519.PublicKey(m.Statement[:ed25519.PublicKeySize])))
	}
	if !why.nak.Holder.IsZero() {
		claims = append(claims, "holder", why.nak.Holder.String())
	}
	return claims
}

// applicant is an edge that has proved what it asks for.
type applicant struct {
	hop       *hop
	request   *protocol.Register
	statement crypto.Statement
}

// verifyClaims checks every claim of a REGISTER: the community is the one of that
// name and key, a member with that key signed this very session, and the
// identity vouches for the session's static key and for the MAC.
func verifyClaims(h *hop, m *protocol.Register) (crypto.Statement, *refusal) {
	refuse := func(reason dropReason) (crypto.Statement, *refusal) {
		return crypto.Statement{}, &refusal{reason: reason, nak: protocol.Nak{Code: protocol.CodeProof, Retry: retryTaken}}
	}
	switch {
	case m.MAC.IsGroup() || m.MAC.IsZero():
		return refuse(dropRegisterMAC)
	case crypto.CommunityID(m.NH, m.RPK) != m.CID:
		return refuse(dropRegisterCommunity)
	case !crypto.VerifyMembership(m.RPK[:], h.hash, m.CID, m.MAC, h.static, m.SigC):
		return refuse(dropRegisterMembership)
	}
	st, err := crypto.VerifyStatement(m.Statement)
	switch {
	case err != nil:
		return refuse(dropRegisterStatement)
	case st.Static != h.static || st.CID != m.CID || st.MAC != m.MAC:
		return refuse(dropRegisterMismatch)
	}
	// A session belongs to one edge of one community for as long as it lives.
	if r := h.reg; r != nil && (r.community.id != m.CID || r.owner != st.ID) {
		return refuse(dropRegisterOther)
	}
	return st, nil
}

// grant decides whether an applicant gets its MAC and an address, and enters
// both. holder is the edge that has the address which the applicant would rather
// have had. A refusal changes nothing, but that an edge without a right to the MAC
// may have lost it.
func (s *Server) grant(now time.Time, a applicant) (r, holder *registration, refused *refusal) {
	m, owner := a.request, a.statement.ID
	displaced, refused := s.freeMAC(now, a)
	if refused != nil {
		return nil, nil, refused
	}
	c := s.registry.community(m.CID, m.NH)
	if c == nil {
		return nil, nil, &refusal{dropCommunities, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
	}
	defer s.registry.prune(c) // if it stays empty
	r = c.byOwner[owner]
	known := r != nil
	switch {
	case known && a.statement.Seq < r.seq:
		return nil, nil, &refusal{dropRegisterOld, protocol.Nak{Code: protocol.CodeOldStatement}}
	case !known && len(s.registry.byHandle) >= s.registry.limits.Edges:
		return nil, nil, &refusal{dropEdges, protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}}
	case !known && !s.newcomers.Take(now, a.hop.source, newcomerRate, newcomerBurst):
		return nil, nil, &refusal{dropNewcomerRate, protocol.Nak{Code: protocol.CodeRate, Retry: retryTaken}}
	case !known:
		r = &registration{community: c, mac: m.MAC, owner: owner, handle: s.registry.freeHandle(s.random.number), place: -1}
	}
	if holder, refused = s.assignLease(now, r, m); refused != nil {
		return nil, nil, refused
	}
	if !known {
		s.registry.add(r)
	} else if r.mac != m.MAC {
		s.store.erase(r.key())
		s.registry.move(r, m.MAC)
	}
	r.announceOwner = r.announceOwner || displaced
	return r, holder, nil
}

// freeMAC makes room for an applicant at its hardware address. displaced says that
// somebody who is registered with it, and had no right to it, had to give it up.
func (s *Server) freeMAC(now time.Time, a applicant) (displaced bool, refused *refusal) {
	c := s.registry.communities[a.request.CID]
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
	s.forget(other)
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
func (s *Server) assignLease(now time.Time, r *registration, m *protocol.Register) (holder *registration, refused *refusal) {
	if m.Features&protocol.FeatureNoAddress != 0 {
		s.registry.setLease(r, netip.Prefix{})
		return nil, nil
	}
	static := m.Features&protocol.FeatureStatic != 0
	holder, ok := s.registry.leaseFor(now, r, m.Prefix, static)
	switch {
	case ok:
		return holder, nil
	case holder != nil && static:
		return nil, &refusal{dropIPTaken, protocol.Nak{Code: protocol.CodeIPTaken, Retry: retryTaken, Holder: holder.mac, Prefix: m.Prefix}}
	}
	return nil, &refusal{dropPool, protocol.Nak{Code: protocol.CodePool, Retry: retryFull, Prefix: m.Prefix}}
}

// enter writes what an admitted edge said of itself into its registration and makes
// its session the one that packets for it go to.
func (s *Server) enter(x *exchange, r *registration, a applicant) {
	newer := r.statement != nil && a.statement.Seq > r.seq
	r.statement = a.request.Statement
	r.seq = a.statement.Seq
	r.features = a.request.Features
	r.candidates = a.request.Candidates
	r.expires = x.now.Add(leaseTime)
	r.addr = a.hop.addr
	if old := r.hop; old != a.hop {
		if old != nil {
			old.retired = x.now
		}
		s.sessions.adopt(a.hop, r)
		r.hop = a.hop
		s.prober.measure(x.now, x.out, a.hop)
		s.cfg.Log.Debug("edge registered", "community", communityText(r.community.id), "mac", r.mac.String(),
			"id", crypto.ShortID(r.owner[:]), "address", r.addr, "lease", r.lease)
	}
	s.registry.setOnline(r)
	s.store.save(r)
	if newer || r.announceOwner {
		r.announceOwner = false
		s.notices.announce(x.now, r)
	}
}

// acknowledge answers an edge with its handle, its lease and the rest of the ACK.
func (s *Server) acknowledge(x *exchange, r, holder *registration) {
	ack := protocol.Ack{
		Handle: r.handle, Seen: underlayAddr(x.from), Lease: r.lease,
		LeaseSeconds: uint32(leaseTime / time.Second),
		ResetToken:   crypto.ResetToken(s.identity.Seed, x.hop.session.LocalIndex()),
		OtherKey:     s.registry.otherKey(r.community),
		Members:      uint32(len(r.community.online)),
		TURN:         s.turn.offer(x.now, r),
	}
	if holder != nil {
		ack.Code, ack.Holder = protocol.CodeIPTaken, holder.mac
		s.cfg.Log.Debug("edge got another address than it asked for", "community", communityText(r.community.id),
			"mac", r.mac.String(), "lease", r.lease, "holder", holder.mac.String())
	}
	x.add(&ack)
}

// handleUnregister ends the session of an edge that leaves; its lease stays.
func (s *Server) handleUnregister(x *exchange) {
	s.cfg.Log.Debug("edge left", "mac", x.hop.reg.mac.String())
	s.sessions.end(x.hop)
}

// forget removes a registration, with the session that it may have, also from disk.
func (s *Server) forget(r *registration) {
	if r.hop != nil {
		s.sessions.remove(r.hop)
		r.hop = nil
	}
	s.store.erase(r.key())
	s.registry.remove(r)
}

// expire removes registrations whose lease has ended.
func (s *Server) expire(now time.Time) {
	s.expiring.Set(now.Add(expiryPause))
	for _, r := range s.registry.byHandle {
		if r.ended(now) {
			s.forget(r)
		}
	}
}

// load enters the stored registrations whose lease lasts, and lists the sessions
// that get a RESET because of the restart. Damaged records are counted and left out.
func (s *Server) load() error {
	now := s.cfg.Now()
	return s.store.each(func(key recordKey, b []byte) {
		st, err := parseRecord(key, b)
		if err != nil {
			s.refuseStored(dropStored, key)
			s.store.erase(key)
			return
		}
		if !now.Before(st.expires) {
			s.store.erase(key)
			return
		}
		c := s.registry.community(st.statement.CID, st.nameHash)
		if c == nil || len(s.registry.byHandle) >= s.cfg.Limits.Edges {
			s.refuseStored(dropStoredFull, key)
			return
		}
		if c.byOwner[st.statement.ID] != nil {
			s.store.erase(key) // left over from a change of MAC
			return
		}
		r := st.registration(c, now)
		if s.registry.byHandle[r.handle] != nil {
			r.handle = s.registry.freeHandle(s.random.number)
		}
		s.registry.add(r)
		if c.byAddr[st.lease.Addr()] == nil {
			s.registry.setLease(r, st.lease)
		}
		if st.index != 0 && r.addr.IsValid() {
			s.notices.resets.list = append(s.notices.resets.list, resetTarget{index: st.index, addr: r.addr})
		}
	})
}

// refuseStored counts and explains why a stored registration was not entered.
func (s *Server) refuseStored(reason dropReason, key recordKey) {
	s.refused.count(reason, true, func() []any {
		return []any{"mac", protocol.MAC(key[16:]).String(), "community", communityText([16]byte(key[:16]))}
	})
}

// registration returns a stored registration, without session or lease. A clock
// that was set back does not make its lease longer.
func (st *stored) registration(c *community, now time.Time) *registration {
	r := &registration{
		community: c, mac: st.statement.MAC, owner: st.statement.ID, handle: st.handle,
		statement: st.signed, seq: st.statement.Seq, expires: st.expires, addr: st.addr, place: -1,
	}
	if latest := now.Add(leaseTime); r.expires.After(latest) {
		r.expires = latest
	}
	return r
}
