package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
)

// returnLanes is for how long after a restart the edges that were here have lanes: one that
// hears no RESET notices the restart by its own timeout.
const returnLanes = 10 * time.Minute

// INITs that one registered edge may send from the address at which we see it: it
// repeats one every 2 s, and each may cost it a cookie and a challenge.
const (
	laneRate  = 2 // a second
	laneBurst = 20
)

// lanes are the addresses at which we see registered edges, or saw them before a restart. An
// INIT from there that shows a cookie is counted for that edge alone, so that no stranger's
// INITs, however many, keep an edge from making its next session.
type lanes map[netip.AddrPort]*lane

// lane is one address.
type lane struct {
	edges int // registered sessions there, and edges that are to return there
	inits bucket.Bucket
}

// enter notes that a registered session is at an address.
func (l lanes) enter(at netip.AddrPort) {
	if l[at] == nil {
		l[at] = new(lane)
	}
	l[at].edges++
}

// leave notes that a registered session has left an address.
func (l lanes) leave(at netip.AddrPort) {
	if known := l[at]; known != nil {
		if known.edges--; known.edges == 0 {
			delete(l, at)
		}
	}
}

// known reports whether a registered edge is at an address.
func (l lanes) known(at netip.AddrPort) bool { return l[at] != nil }

// take takes one INIT of the edge at an address, and reports whether it may be opened.
func (l lanes) take(now time.Time, at netip.AddrPort) bool {
	known := l[at]
	return known != nil && known.inits.Take(now, 1, laneRate, laneBurst)
}

// returning are the addresses of the edges that were here before a restart. They have lanes,
// so that strangers keep none of them from coming back, nor an office itself by its own INITs.
type returning struct {
	lanes lanes
	list  []netip.AddrPort
	end   timer.Timer // of their lanes
}

// expect gives lanes to the addresses that get a RESET of the start.
func (r *returning) expect(now time.Time, list []netip.AddrPort) {
	for _, at := range list {
		r.lanes.enter(at)
	}
	r.list = append(r.list, list...)
	if len(list) > 0 {
		r.end.Set(now.Add(returnLanes))
	}
}

// over takes the lanes back. Who is here has one of its own.
func (r *returning) over(time.Time) {
	for _, at := range r.list {
		r.lanes.leave(at)
	}
	r.list = nil
}
