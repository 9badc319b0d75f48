package supernode

import (
	"container/list"
	"net/netip"
	"time"

	"hedgerow/internal/network"
)

// How long an address and a hardware address stay reserved for their owner after it was
// last here: for firstLease if it came for the first time, for leaseGrowth times as long
// as it has been here on top of that, and for leaseTime at most. So a day takes six hours
// of presence, and nobody fills the tables by saying once that he is here.
const (
	firstLease  = 30 * time.Minute // two hop sessions: an edge registers with each
	leaseGrowth = 4
	leaseTime   = 24 * time.Hour
)

// familiarTime is how long an edge has to have been here for its registration not to make
// room for a newcomer's while it is away.
const familiarTime = time.Hour

// seat is what a registration takes up in the tables, and for how long.
type seat struct {
	number   int        // in registry.all
	source   netip.Addr // where its edge came from at first
	visit    *network.Place[*registration]
	yielding *network.Place[*registration] // in community.addresses.away; nil: not in it
	absence  *list.Element                 // in community.addresses.absent, at the same time

	since   time.Time     // when the edge came, the time from when on is not in present yet
	present time.Duration // how long it was here before
	expires time.Time     // while it is away
	left    time.Time     // when it took its leave, if it did so and is away
}

// presence returns how long the edge of r has been here, up to its last packet.
func (r *registration) presence() time.Duration {
	s := &r.seat
	if r.place < 0 || r.hop == nil || !r.hop.heard.After(s.since) {
		return s.present
	}
	return min(s.present+r.hop.heard.Sub(s.since), leaseTime)
}

// term returns how long the lease of r lasts from the last packet of its edge on.
func (r *registration) term() time.Duration { return term(r.presence()) }

// term returns how long the lease of an edge lasts that was here for some time.
func term(present time.Duration) time.Duration {
	return min(firstLease+leaseGrowth*present, leaseTime)
}

// until returns when the lease of r ends if no more packet comes from its edge.
func (r *registration) until() time.Time {
	if r.place < 0 || r.hop == nil {
		return r.seat.expires
	}
	return r.hop.heard.Add(r.term())
}

// ended reports whether the lease of r is over, so that another edge may get its MAC
// and its address.
func (r *registration) ended(now time.Time) bool {
	return r.place < 0 && !now.Before(r.seat.expires)
}

// familiar reports whether the edge of r has been here for long.
func (r *registration) familiar() bool { return r.presence() >= familiarTime }

// arrive notes that the edge of r is here from its last packet on.
func (r *registration) arrive() { r.seat.since, r.seat.left = r.hop.heard, time.Time{} }

// leave notes that the edge of r is away from its last packet on. The session that the
// packet came by is still there.
func (r *registration) leave() {
	r.seat.expires = r.until()
	r.seat.present = r.presence()
}

// awaySince returns when the edge of r, which is away, was last here.
func (r *registration) awaySince() time.Time {
	if !r.seat.left.IsZero() {
		return r.seat.left
	}
	return r.seat.expires.Add(-r.term())
}
