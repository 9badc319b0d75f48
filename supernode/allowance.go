package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
)

// What control messages of edges cost, in tokens. A REGISTER costs us two checks of
// signatures, a list of members a look at listScan of them.
const (
	registerCost = 25
	listCost     = 10
	queryCost    = 1
	punchCost    = 1
	directCost   = 1
)

const (
	controlRate  = 50 // tokens a second, of one static key
	controlBurst = 200

	// Of all static keys at one source: 100 REGISTERs a second and 1000 at once, which
	// is what a large office needs that comes back after a power cut. Guests and members
	// have buckets of their own, so that strangers behind the address of members cannot
	// use up what those need.
	sourceControlRate  = 2500
	sourceControlBurst = 25000
)

// How many lists of members a static key may ask for.
const (
	listRate  = 1 // a second
	listBurst = 3
)

// How many edges that were never seen before may register from one source: whole
// offices at once.
const (
	newcomerRate  = 1 // a second
	newcomerBurst = 256
)

// How often a source may be told that a name is in use with another key: enough for
// somebody who mistypes, and too little to guess names.
const (
	nameRate  = 1.0 / 60 // a second
	nameBurst = 8
)

// staticTable is how many buckets all static keys share. It is larger than that of the
// sources, since keys cost nothing: whoever empties those of a thousand keys, which is
// more than a network may, takes those of one in 260 others.
const staticTable = 262144

// allowance is what edges may make us do. It belongs to their static keys and to the
// sources that they come from, never to a session or to anything else that a reconnect
// makes anew.
type allowance struct {
	statics   *bucket.Sources  // control messages, by static key
	lists     *bucket.Sources  // lists of members, by static key
	punches   *bucket.Sources  // by static key
	guests    *bucket.Networks // control messages of sessions without registration
	members   *bucket.Networks // control messages of registered edges
	newcomers *bucket.Networks // edges that were never seen before
	names     *bucket.Networks // ACKs that say that a name is in use with another key
	floods    *bucket.Networks // copies of floods, and of notices about restarted edges
	front     *front
}

func newAllowance(front *front) *allowance {
	static := func() *bucket.Sources { return bucket.NewSources(staticTable) }
	source := func() *bucket.Networks { return bucket.NewNetworks(sourceTable) }
	return &allowance{
		statics: static(), lists: static(), punches: static(),
		guests: source(), members: source(), newcomers: source(), names: source(), floods: source(), front: front,
	}
}

// control takes what a control message costs its sender, and reports whether it had it.
func (a *allowance) control(now time.Time, h *hop, cost float64) bool {
	at := a.guests
	if h.reg != nil {
		at = a.members
	}
	k := float64(a.front.sourcesIn(h.source))
	return takeAtOnce(a.statics, now, staticSource(h.static), cost, controlRate, controlBurst) &&
		takeAtOnce(at, now, h.source, cost, sourceControlRate*k, sourceControlBurst*k)
}

// list takes what one list of members costs.
func (a *allowance) list(now time.Time, h *hop) bool {
	return a.lists.Take(now, staticSource(h.static), listRate, listBurst)
}

// punch takes what one punch costs.
func (a *allowance) punch(now time.Time, h *hop) bool {
	return a.punches.Take(now, staticSource(h.static), punchRate, punchBurst)
}

// newcomer takes what an edge costs that was never seen before.
func (a *allowance) newcomer(now time.Time, h *hop) bool {
	source := lastingSource(h.addr, h.source)
	k := float64(a.front.sourcesIn(source))
	return a.newcomers.Take(now, source, newcomerRate*k, newcomerBurst*k)
}

// name takes what it costs to tell an edge that its community's name is in use.
func (a *allowance) name(now time.Time, h *hop) bool {
	return a.names.Take(now, h.source, nameRate, nameBurst)
}

// copies takes n copies of a flood from what the source of its sender has, rate a second.
func (a *allowance) copies(now time.Time, h *hop, n, rate float64) bool {
	return takeAtOnce(a.floods, now, h.source, n, rate, max(rate, n))
}

// table is a table of buckets by address.
type table interface {
	Take(now time.Time, a netip.Addr, rate, burst float64) bool
}

// takeAtOnce takes cost tokens from a table: one of a bucket that is cost times as small.
func takeAtOnce(t table, now time.Time, a netip.Addr, cost, rate, burst float64) bool {
	return t.Take(now, a, rate/cost, burst/cost)
}

// staticSource returns a static key as an address, by which bucket.Sources counts it. It
// looks at the first eight bytes only, but a key that has those of another one takes 2^64
// tries to find.
func staticSource(static [32]byte) netip.Addr {
	b := [16]byte(static[:16])
	b[0] |= 0x80 // not an IPv4-mapped address
	return netip.AddrFrom16(b)
}
