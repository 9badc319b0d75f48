package supernode

import (
	"time"

	"hedgerow/protocol"
)

// restore enters the stored registrations whose lease lasts, and returns the sessions
// that get a RESET because of the restart. Damaged records are counted and left out.
func (g *registrar) restore(now time.Time) (lost []resetTarget, err error) {
	err = g.store.each(func(key recordKey, b []byte) {
		st, err := parseRecord(key, b)
		if err != nil {
			g.refuseStored(dropStored, key)
			g.store.erase(key)
			return
		}
		if !now.Before(st.expires) {
			g.store.erase(key)
			return
		}
		c := g.registry.community(st.statement.CID, st.nameHash)
		if c == nil || len(g.registry.byHandle) >= g.registry.limits.Edges {
			g.refuseStored(dropStoredFull, key)
			return
		}
		if c.byOwner[st.statement.ID] != nil {
			g.store.erase(key) // left over from a change of MAC
			return
		}
		r := st.registration(c, now)
		if g.registry.byHandle[r.handle] != nil {
			r.handle = g.registry.freeHandle(g.random.number)
		}
		g.registry.add(r)
		if c.byAddr[st.lease.Addr()] == nil {
			g.registry.setLease(r, st.lease)
		}
		if st.index != 0 && r.addr.IsValid() {
			lost = append(lost, resetTarget{index: st.index, addr: r.addr})
		}
	})
	return lost, err
}

// refuseStored counts and explains why a stored registration was not entered.
func (g *registrar) refuseStored(reason dropReason, key recordKey) {
	g.refused.count(reason, true, func() []any {
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
