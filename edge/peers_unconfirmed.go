package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/handshake"
)

// Bounds of the peers that are known by an unconfirmed INIT alone. An office behind one
// address may start a hundred edges at once.
const (
	maxUnconfirmed          = 512
	maxUnconfirmedPerSource = 128
)

// placeSource returns what a source's places in the book are counted under: an IPv4
// address, the /64 of an IPv6 address, which one host has all of, or what sourceOf makes
// of a handle or an introducer.
func placeSource(from handshake.Source) netip.Addr {
	a := from.Rate.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	whole, _ := a.Prefix(64)
	return whole.Addr() // not valid if a is not
}

// opened returns the peer with a static key that an INIT has named, marked. One that was
// not known gets a place among the unconfirmed, which takes none from those that are
// known otherwise: over a bound the oldest of the source that has most goes, and of the
// same source if that has too many itself.
func (b *peers) opened(now time.Time, static [32]byte, source handshake.Source) *peer {
	if p := b.found(b.byStatic[static]); p != nil {
		return p
	}
	from, places := placeSource(source), make(map[netip.Addr]int)
	for _, p := range b.half {
		places[p.place.source]++
	}
	if places[from] >= maxUnconfirmedPerSource {
		b.forget(b.half[slices.IndexFunc(b.half, func(p *peer) bool { return p.place.source == from })])
	} else if len(b.half) >= maxUnconfirmed {
		most := 0
		for _, n := range places {
			most = max(most, n)
		}
		b.forget(b.half[slices.IndexFunc(b.half, func(p *peer) bool { return places[p.place.source] == most })])
	}
	p := b.enter(now, static)
	p.place = place{source: from, unconfirmed: true}
	b.half = append(b.half, p)
	return p
}

// stay gives a peer a lasting place in the book: it is known by more than an INIT. It
// reports false when there is none.
func (b *peers) stay(p *peer) bool {
	if !p.place.unconfirmed {
		return true
	}
	if !b.makeRoom() {
		return false
	}
	b.leave(p)
	return true
}

// leave takes a peer from among the unconfirmed.
func (b *peers) leave(p *peer) {
	if p.place.unconfirmed {
		p.place.unconfirmed = false
		b.half = slices.DeleteFunc(b.half, func(q *peer) bool { return q == p })
	}
}
