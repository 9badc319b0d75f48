package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// What a refused edge is told to wait, in seconds.
const (
	retryRate  = 1
	retryTaken = 30
	retryFull  = 60
)

// handleRegister checks and enters a registration. The same REGISTER again is
// a refresh, so a lost answer costs nothing but a second one.
func (s *Server) handleRegister(x *exchange, value []byte) {
	m, err := protocol.ParseRegister(value)
	if err != nil || !x.hop.retired.IsZero() {
		s.drops.drop(dropControl)
		return
	}
	if !x.hop.control.Take(x.now, registerCost, controlRate, controlBurst) {
		s.drops.drop(dropControlRate)
		s.add(x, &protocol.Nak{Code: protocol.CodeRate, Retry: retryRate})
		return
	}
	st, ok := proved(x.hop, &m)
	if !ok {
		s.add(x, &protocol.Nak{Code: protocol.CodeProof, Retry: retryTaken})
		return
	}
	a := applicant{hop: x.hop, request: &m, statement: st}
	r, holder, nak := s.admit(x.now, a)
	if nak != nil {
		s.add(x, nak)
		return
	}
	s.settle(x, r, a)
	s.acknowledge(x, r, holder)
}

// applicant is an edge that has proved what it asks for.
type applicant struct {
	hop       *hop
	request   *protocol.Register
	statement crypto.Statement
}

// proved checks every claim of a REGISTER: the community is the one of that
// name and key, a member with that key signed this very session, and the
// identity vouches for the session's static key and for the MAC.
func proved(h *hop, m *protocol.Register) (crypto.Statement, bool) {
	if m.MAC.IsGroup() || m.MAC.IsZero() || crypto.CommunityID(m.NH, m.RPK) != m.CID {
		return crypto.Statement{}, false
	}
	if !crypto.VerifyMembership(m.RPK[:], h.hash, m.CID, m.MAC, h.static, m.SigC) {
		return crypto.Statement{}, false
	}
	st, err := crypto.VerifyStatement(m.Statement)
	if err != nil || st.Static != h.static || st.CID != m.CID || st.MAC != m.MAC {
		return crypto.Statement{}, false
	}
	// A session belongs to one edge of one community for as long as it lives.
	if r := h.reg; r != nil && (r.community.id != m.CID || r.owner != st.ID) {
		return crypto.Statement{}, false
	}
	return st, true
}

// admit decides whether an applicant gets its MAC and an address, and enters
// both. holder is who has the address that it would rather have had. A refusal
// changes nothing.
func (s *Server) admit(now time.Time, a applicant) (r, holder *registration, nak *protocol.Nak) {
	m, owner := a.request, a.statement.ID
	took := false // the MAC from somebody who had no right to it
	if c := s.registry.communities[m.CID]; c != nil {
		if other := c.byMAC[m.MAC]; other != nil && other.owner != owner {
			if !other.ended(now) && !yields(other, a) {
				return nil, nil, &protocol.Nak{Code: protocol.CodeMACTaken, Retry: retryTaken, Holder: other.mac, Prefix: other.lease}
			}
			took = !other.ended(now)
			s.forget(other)
		}
	}
	c := s.registry.community(m.CID, m.NH)
	if c == nil {
		return nil, nil, &protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}
	}
	defer s.registry.prune(c) // if it stays empty
	r = c.byOwner[owner]
	known := r != nil
	switch {
	case known && a.statement.Seq < r.seq:
		return nil, nil, &protocol.Nak{Code: protocol.CodeOldStatement}
	case !known && len(s.registry.byHandle) >= s.registry.limits.Edges:
		return nil, nil, &protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}
	case !known && !s.strangers.newcomers.Take(now, a.hop.source, newcomerRate, newcomerBurst):
		s.drops.drop(dropControlRate)
		return nil, nil, &protocol.Nak{Code: protocol.CodeRate, Retry: retryTaken}
	case !known:
		r = &registration{community: c, mac: m.MAC, owner: owner, handle: s.registry.freeHandle(s.random32), place: -1}
	}
	holder, nak = s.assignLease(now, r, m)
	if nak != nil {
		return nil, nil, nak
	}
	if !known {
		s.registry.add(r)
	} else if r.mac != m.MAC {
		s.store.put(r.key(), nil)
		s.registry.move(r, m.MAC)
	}
	r.unknown = r.unknown || took
	return r, holder, nil
}

// yields reports whether the holder of a hardware address gives it up before its
// lease ends: to the identity that the address follows from (PROTOCOL.md,
// section 2), unless it follows from the holder's as well.
func yields(holder *registration, a applicant) bool {
	cid, mac := a.request.CID, [6]byte(a.request.MAC)
	return crypto.MACFor(a.statement.ID[:], cid) == mac && crypto.MACFor(holder.owner[:], cid) != mac
}

// assignLease gives r the address that m asks for, or another one, or none.
func (s *Server) assignLease(now time.Time, r *registration, m *protocol.Register) (holder *registration, nak *protocol.Nak) {
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
		return nil, &protocol.Nak{Code: protocol.CodeIPTaken, Retry: retryTaken, Holder: holder.mac, Prefix: m.Prefix}
	}
	return nil, &protocol.Nak{Code: protocol.CodePool, Retry: retryFull, Prefix: m.Prefix}
}

// settle writes what an admitted edge said of itself and makes its session the
// one that packets for it go to.
func (s *Server) settle(x *exchange, r *registration, a applicant) {
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
		s.hops.adopt(a.hop, r)
		r.hop = a.hop
		s.measure(x.now, x.out, a.hop)
		s.cfg.Log.Debug("edge registered", "community", communityText(r.community.id), "mac", r.mac,
			"id", crypto.ShortID(r.owner[:]), "address", r.addr, "lease", r.lease)
	}
	s.registry.setOnline(r)
	s.save(r)
	if newer || r.unknown {
		r.unknown = false
		s.announce(r)
	}
}

// acknowledge tells an edge what it got.
func (s *Server) acknowledge(x *exchange, r, holder *registration) {
	ack := protocol.Ack{
		Handle: r.handle, Seen: shown(x.from), Lease: r.lease,
		LeaseSeconds: uint32(leaseTime / time.Second),
		ResetToken:   crypto.ResetToken(s.identity.Seed, x.hop.session.LocalIndex()),
		OtherKey:     s.registry.otherKey(r.community),
		Members:      uint32(len(r.community.online)),
		TURN:         s.offerTURN(x.now, r),
	}
	if holder != nil {
		ack.Code, ack.Holder = protocol.CodeIPTaken, holder.mac
	}
	s.add(x, &ack)
}

// handleUnregister ends the session of an edge that leaves; its lease stays.
func (s *Server) handleUnregister(x *exchange) {
	s.cfg.Log.Debug("edge left", "mac", x.hop.reg.mac)
	s.end(x.hop)
}

// end takes a session away and with it, if it was the registration's current
// one, the edge's presence.
func (s *Server) end(h *hop) {
	s.hops.remove(h)
	if r := h.reg; r != nil && r.hop == h {
		s.registry.setOffline(r)
		r.hop = nil
		s.save(r)
	}
}

// forget takes a registration without session out for good.
func (s *Server) forget(r *registration) {
	if r.hop != nil {
		s.hops.remove(r.hop)
		r.hop = nil
	}
	s.store.put(r.key(), nil)
	s.registry.remove(r)
}

// save notes the state of a registration for the disk.
func (s *Server) save(r *registration) { s.store.put(r.key(), r.record()) }

// load enters what is stored and still lasts, and lists the sessions that must
// be told of the restart. What is damaged is counted and left out.
func (s *Server) load() error {
	now := s.cfg.Now()
	return s.store.each(func(key recordKey, b []byte) {
		st, err := parseRecord(key, b)
		if err != nil {
			s.drops.drop(dropStored)
			s.store.put(key, nil)
			return
		}
		if !now.Before(st.expires) {
			s.store.put(key, nil)
			return
		}
		c := s.registry.community(st.statement.CID, st.nameHash)
		if c == nil || len(s.registry.byHandle) >= s.cfg.Limits.Edges {
			return
		}
		if c.byOwner[st.statement.ID] != nil {
			s.store.put(key, nil) // left over from a change of MAC
			return
		}
		r := st.registration(c, now)
		if s.registry.byHandle[r.handle] != nil {
			r.handle = s.registry.freeHandle(s.random32)
		}
		s.registry.add(r)
		if c.byAddr[st.lease.Addr()] == nil {
			s.registry.setLease(r, st.lease)
		}
		if st.index != 0 && r.addr.IsValid() {
			s.resets.list = append(s.resets.list, resetTarget{index: st.index, addr: r.addr})
		}
	})
}

// registration returns what was stored as a registration without session or
// lease. A clock that was set back does not make its lease longer.
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
