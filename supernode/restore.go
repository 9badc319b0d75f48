package supernode

import (
	"cmp"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"hedgerow/internal/network"
	"hedgerow/protocol"
)

// restore enters the stored registrations whose lease lasts, and returns the sessions
// that get a RESET because of the restart. Damaged records are counted and left out.
func (g *registrar) restore(now time.Time) (lost []resetTarget) {
	var list []stored
	for _, found := range g.readStored() {
		switch {
		case found.err != nil:
			g.refuseStored(dropStored, found.at)
			g.store.erase(found.at)
		case !now.Before(found.expires):
			g.store.erase(found.at)
		default:
			g.amend(&found.stored)
			list = append(list, found.stored)
		}
	}
	// Who has been away for longest makes room first, and gives its address up first.
	slices.SortStableFunc(list, func(a, b stored) int { return a.awaySince().Compare(b.awaySince()) })
	var resets resetOrder
	for i := range list {
		r := g.enterStored(now, &list[i])
		if r != nil && list[i].index != 0 && r.addr.IsValid() {
			resets.add(r.seat.source, resetTarget{index: list[i].index, addr: r.addr, back: r.here})
		}
	}
	return resets.targets()
}

// storedRecord is what a record of the disk holds, if it can be read.
type storedRecord struct {
	stored
	at  recordKey
	err error
}

// readStored reads all records, by all processors: each has a signature to be checked, and
// nobody is served meanwhile.
func (g *registrar) readStored() []storedRecord {
	var list []storedRecord
	var records [][]byte
	g.store.each(func(key recordKey, b []byte) {
		list, records = append(list, storedRecord{at: key}), append(records, b)
	})
	var readers sync.WaitGroup
	share := len(list)/runtime.GOMAXPROCS(0) + 1
	for from := 0; from < len(list); from += share {
		readers.Go(func() {
			for i := from; i < min(from+share, len(list)); i++ {
				list[i].stored, list[i].err = parseRecord(list[i].at, records[i])
			}
		})
	}
	readers.Wait()
	return list
}

// amend makes a registration of a backup one that gives its address up to an edge that asks
// for that very one: who has asked for it since is not known, and an edge keeps what it has.
func (g *registrar) amend(st *stored) {
	if from := g.store.state.from; from.is() && st.left.IsZero() {
		st.left = from.made.Add(-leaveGrace)
	}
}

// enterStored enters a stored registration, or counts why not and returns nil.
func (g *registrar) enterStored(now time.Time, st *stored) *registration {
	c := g.registry.communities[st.statement.CID]
	if c != nil && c.byOwner[st.statement.ID] != nil {
		g.store.erase(st.key()) // left over from a change of MAC
		return nil
	}
	if needs, reason := g.registry.roomFor(st.source, c); reason != answered || needs != (room{}) {
		g.refuseStored(dropStoredFull, st.key())
		return nil
	}
	r := st.registration(now)
	r.community = g.registry.community(st.statement.CID, st.nameHash, st.source)
	if g.registry.byHandle[r.handle] != nil {
		r.handle = g.registry.freeHandle(g.random.number)
	}
	g.registry.add(r)
	g.registry.setVisitor(r)
	if r.community.byAddr[st.lease.Addr()] == nil {
		g.registry.setLease(r, r.community.resized(st.lease))
	}
	return r
}

// refuseStored counts and explains why a stored registration was not entered.
func (g *registrar) refuseStored(reason dropReason, key recordKey) {
	g.refused.count(reason, true, func() []any {
		return []any{"mac", protocol.MAC(key[16:]).String(), "community", communityText([16]byte(key[:16]))}
	})
}

// registration returns a stored registration, without community, session or lease. A
// clock that was set back does not make its lease longer.
func (st *stored) registration(now time.Time) *registration {
	r := &registration{
		mac: st.statement.MAC, owner: st.statement.ID, handle: st.handle,
		statement: st.signed, seq: st.statement.Seq, addr: st.addr, place: -1,
		seat: seat{source: st.source, present: st.present, expires: st.expires, left: st.left},
	}
	if latest := now.Add(leaseTime); r.seat.expires.After(latest) {
		r.seat.expires = latest
	}
	return r
}

// key returns what a registration is stored under.
func (st *stored) key() (k recordKey) {
	copy(k[:16], st.statement.CID[:])
	copy(k[16:], st.statement.MAC[:])
	return k
}

// resetOrder puts the RESETs of the start in an order in which networks take turns, so
// that one with many does not delay those of others.
type resetOrder struct {
	list []resetTurn
	had  map[network.Key]int
}

// addressesOf returns where targets are.
func addressesOf(targets []resetTarget) []netip.AddrPort {
	list := make([]netip.AddrPort, len(targets))
	for i := range targets {
		list[i] = targets[i].addr
	}
	return list
}

// resetTurn is a target and which turn of its network is its.
type resetTurn struct {
	resetTarget
	turn int
}

// add adds the target of a registration that came from a source.
func (o *resetOrder) add(source netip.Addr, t resetTarget) {
	if o.had == nil {
		o.had = make(map[network.Key]int)
	}
	widest := network.Of(source)[network.Levels-1]
	o.list = append(o.list, resetTurn{t, o.had[widest]})
	o.had[widest]++
}

// targets returns all targets in their order.
func (o *resetOrder) targets() []resetTarget {
	slices.SortStableFunc(o.list, func(a, b resetTurn) int { return cmp.Compare(a.turn, b.turn) })
	targets := make([]resetTarget, len(o.list))
	for i, t := range o.list {
		targets[i] = t.resetTarget
	}
	return targets
}
