package crypto

import (
	"hash/maphash"
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
)

// Bounds of the salts that nobody vouched for. There are two of each: one for what
// supernodes relay, whose origin is a registered edge, and one for what comes
// directly, whose source address may be forged. Neither can use up the other's.
const (
	groupUnvouched = 2048 // salts near their own time
	groupStale     = 32   // salts outside their time, kept for staleLife
	groupPerOrigin = 8    // of one origin: a sender draws seven in 12 minutes
	staleLife      = 10 * time.Second
)

// Rates of unknown salts, a second and at once, that a key is derived for.
const (
	originSalts  = 10   // of one origin
	relayedSalts = 1000 // of all that supernodes relay
	directSalts  = 200  // of all that comes directly
	originSlots  = 512  // origins that are told apart; others share
)

// GroupOrigin is where a GROUP packet came from: from an underlay address, or by a
// supernode's relaying, which names its sender by a handle.
type GroupOrigin struct {
	Addr      netip.AddrPort // valid: it came directly
	Supernode int            // the caller's number of the supernode
	Handle    uint32
}

// direct returns 1 for a packet that came directly, and 0 for a relayed one.
func (o *GroupOrigin) direct() int {
	if o.Addr.IsValid() {
		return 1
	}
	return 0
}

// groupPlaces are the entries that nobody vouched for.
type groupPlaces struct {
	list     []*groupEntry // in no order
	byOrigin map[GroupOrigin]int
	count    [2][3]int // by GroupOrigin.direct and standing
}

func makeGroupPlaces() groupPlaces { return groupPlaces{byOrigin: make(map[GroupOrigin]int)} }

// hasRoom reports whether another salt of an origin may enter.
func (p *groupPlaces) hasRoom(origin GroupOrigin, s standing) bool {
	most := groupUnvouched
	if s == stale {
		most = groupStale
	}
	return p.count[origin.direct()][s] < most && p.byOrigin[origin] < groupPerOrigin
}

// enter adds an entry.
func (p *groupPlaces) enter(e *groupEntry) {
	e.place = len(p.list)
	p.list = append(p.list, e)
	p.byOrigin[e.origin]++
	p.count[e.origin.direct()][e.standing]++
}

// leave removes an entry.
func (p *groupPlaces) leave(e *groupEntry) {
	last := len(p.list) - 1
	p.list[e.place] = p.list[last]
	p.list[e.place].place = e.place
	p.list[last] = nil
	p.list = p.list[:last]
	if p.byOrigin[e.origin]--; p.byOrigin[e.origin] == 0 {
		delete(p.byOrigin, e.origin)
	}
	p.count[e.origin.direct()][e.standing]--
}

// groupBudget limits for how many unknown salts a key is derived.
type groupBudget struct {
	origins [originSlots]bucket.Bucket
	all     [2]bucket.Bucket // by GroupOrigin.direct
	seed    maphash.Seed     // made at the first use
	seeded  bool
}

// take takes a token for one unknown salt of an origin.
func (b *groupBudget) take(now time.Time, origin GroupOrigin) bool {
	if !b.seeded {
		b.seed, b.seeded = maphash.MakeSeed(), true
	}
	all, rate := &b.all[origin.direct()], float64(relayedSalts)
	if origin.Addr.IsValid() {
		rate = directSalts
	}
	own := &b.origins[maphash.Comparable(b.seed, origin)%originSlots]
	if !all.Has(now, 1, rate, rate) || !own.Take(now, 1, originSalts, originSalts) {
		return false
	}
	return all.Take(now, 1, rate, rate)
}
