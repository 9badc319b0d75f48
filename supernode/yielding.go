package supernode

import (
	"container/list"
	"net/netip"
	"time"

	"hedgerow/internal/network"
)

// leaveGrace is how long after its goodbye an edge keeps what it had, unless the pool is
// full: one that is started anew gets its address back, and one that comes in its place is
// not kept from that for long. An edge that was here for an hour keeps its registration
// for as long as its lease lasts; what it gives up is its address, and only to one that
// asks for it or finds the pool full.
const leaveGrace = 10 * time.Minute

// absentTime is for how long an edge has to be away for its address to go, when the pool is
// full, to whoever comes: a network with many edges that are here finds an address, too.
const absentTime = time.Hour

// addresses is whose the addresses of a community's pool are, and who of them gives his up
// when the pool is full: an edge that is away, and whoever took his leave before whoever
// vanished. They compete by the networks that they came from at first, so that nobody gets
// an address of others by coming as many edges.
type addresses struct {
	leased    leased                        // all addresses that members have, also those of no pool
	core      netip.Prefix                  // of the pool; zero: it has none
	exhausted time.Time                     // when a newcomer got no address last
	holders   map[network.Key]int           // leases in the pool, of all edges from a network
	away      *network.Crowd[*registration] // those whose edge is away; a confirmed one has vanished
	absent    list.List                     // the same, the longest absent in front
}

// count adds leases to what the networks of a source hold.
func (a *addresses) count(source netip.Addr, n int) {
	if a.holders == nil {
		a.holders = make(map[network.Key]int)
	}
	for _, k := range network.Of(source) {
		if a.holders[k] += n; a.holders[k] == 0 {
			delete(a.holders, k)
		}
	}
}

// victim returns who gives up an address of the pool to a newcomer from a source, nil if
// nobody has to: the longest absent one from there, and otherwise the longest absent one
// of the network that has most of them away, if each of its networks holds more of the
// pool than the newcomer's. Otherwise it is the longest absent one of all, if that is away
// for long.
func (a *addresses) victim(now time.Time, source netip.Addr) *registration {
	if a.away == nil {
		return nil
	}
	keys := network.Of(source)
	place := a.away.YieldingIn(keys[0])
	if place == nil {
		place = a.away.Yielding()
	}
	if place == nil {
		return nil
	}
	for i, k := range network.Of(place.Value.seat.source) {
		if k != keys[i] && a.holders[k] <= a.holders[keys[i]] {
			return a.longestAbsent(now)
		}
	}
	return place.Value
}

// longestAbsent returns who is away for longest, nil if that is not for long.
func (a *addresses) longestAbsent(now time.Time) *registration {
	r := a.absent.Front().Value.(*registration)
	if now.Sub(r.awaySince()) < absentTime {
		return nil
	}
	return r
}

// setYielding notes whether r gives its address up when the pool is full.
func (g *registry) setYielding(r *registration) {
	a := &r.community.addresses
	yields := r.place < 0 && r.lease.IsValid() && r.community.pool.Contains(r.lease.Addr())
	switch {
	case yields && r.seat.yielding == nil:
		if a.away == nil {
			a.away = network.NewCrowd[*registration]()
		}
		r.seat.yielding = a.away.Add(r.seat.source, r)
		r.seat.absence = a.absent.PushBack(r)
		if r.seat.left.IsZero() {
			a.away.Confirm(r.seat.yielding)
		}
	case !yields && r.seat.yielding != nil:
		g.unsetYielding(r)
	}
}

// unsetYielding notes that r gives up nothing.
func (g *registry) unsetYielding(r *registration) {
	a := &r.community.addresses
	a.away.Remove(r.seat.yielding)
	a.absent.Remove(r.seat.absence)
	r.seat.yielding, r.seat.absence = nil, nil
}

// setLeft notes that the edge of r, which is away, has taken its leave.
func (g *registry) setLeft(now time.Time, r *registration) {
	if r.seat.yielding != nil {
		g.unsetYielding(r)
	}
	r.seat.left = now
	if end := now.Add(leaveGrace); !r.familiar() && r.seat.expires.After(end) {
		r.seat.expires = end
	}
	g.setYielding(r)
}

// yieldsAddress reports whether the edge of r gives its address up to another one that asks
// for that very address: it is gone for good, or it took its leave some time ago. To one
// from its own network it does so at once, which is what a container is that is made anew.
func (r *registration) yieldsAddress(now time.Time, to netip.Addr) bool {
	if r.ended(now) {
		return true
	}
	left := r.seat.left
	return r.place < 0 && !left.IsZero() && (now.Sub(left) >= leaveGrace || network.Of(to)[0] == network.Of(r.seat.source)[0])
}
