package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
)

// INITs that one registered edge may send from the address at which we see it: it
// repeats one every 2 s, and each may cost it a cookie and a challenge.
const (
	laneRate  = 2 // a second
	laneBurst = 20
)

// lanes are the addresses at which we see registered edges. An INIT from there that
// shows a cookie is counted for that edge alone, so that no stranger's INITs, however
// many, keep an edge from making its next session.
type lanes map[netip.AddrPort]*lane

// lane is one address.
type lane struct {
	edges int // registered sessions there
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
