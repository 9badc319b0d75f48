package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/network"
)

// waitingMost is how many sessions the holder of a registered key may have that it
// has not registered over yet: the one of its last INIT, and one whose RESP may have
// been lost.
const waitingMost = 2

// cookieShare is the part of the guests' places, as a divisor, from which on every
// source has to show a cookie. So forged sources hold at most that part.
const cookieShare = 8

// guests are the sessions without a registration. Anybody can have them made, so they
// compete for places by the networks that they come from; the newest is let in, and
// the oldest unconfirmed one of the most crowded network makes room for it. Sessions
// of keys that are registered here have places of their own.
type guests struct {
	crowd    *network.Crowd[*hop]
	most     int
	waiting  map[[32]byte][waitingMost]*hop // by registered key, the newest first
	registry *registry
}

func newGuests(most int, g *registry) *guests {
	return &guests{
		crowd: network.NewCrowd[*hop](), most: most, waiting: make(map[[32]byte][waitingMost]*hop), registry: g,
	}
}

// crowded reports whether a cookie is demanded of everybody, since the places of
// guests begin to fill.
func (g *guests) crowded() bool { return g.crowd.Len() >= max(1, g.most/cookieShare) }

// count returns how many sessions have no registration.
func (g *guests) count() int {
	n := g.crowd.Len()
	for _, w := range g.waiting {
		for _, h := range w {
			if h != nil {
				n++
			}
		}
	}
	return n
}

// add gives a new session a place, and returns the one that loses its own by that,
// or nil.
func (g *guests) add(h *hop, from netip.Addr) (displaced *hop) {
	if g.registry.knows(h.static) {
		w := g.waiting[h.static]
		displaced = w[waitingMost-1]
		copy(w[1:], w[:])
		w[0] = h
		g.waiting[h.static] = w
		return displaced
	}
	h.visit.place = g.crowd.Add(from, h)
	if g.crowd.Len() <= g.most {
		return nil
	}
	return g.crowd.Yielding().Value
}

// remove takes a session's place back: it has ended, or it has a registration now.
func (g *guests) remove(h *hop) {
	if h.visit.place != nil {
		g.crowd.Remove(h.visit.place)
		h.visit.place = nil
		return
	}
	w := g.waiting[h.static]
	rest := [waitingMost]*hop{}
	kept := 0
	for _, other := range w {
		if other != nil && other != h {
			rest[kept] = other
			kept++
		}
	}
	if kept == 0 {
		delete(g.waiting, h.static)
	} else {
		g.waiting[h.static] = rest
	}
}

// confirm notes that a guest has shown that it is there.
func (g *guests) confirm(h *hop) {
	if h.visit.place != nil {
		g.crowd.Confirm(h.visit.place)
	}
}

// full reports whether guests fill most of their places.
func (g *guests) full() bool { return g.crowd.Len() > g.most*3/4 }

// overstays reports whether a guest has to go, though it is not silent: when guests
// fill most of their places none stays longer than a silent one would, since anybody
// could keep all of them by sending now and then. One whose key is no longer
// registered has lost its own place.
func (g *guests) overstays(now time.Time, h *hop, full bool) bool {
	if h.visit.place == nil {
		return !g.registry.knows(h.static)
	}
	return full && now.Sub(h.created) > guestTime
}
