package subnet

import (
	"bytes"
	"net/netip"
)

// A Route is a network behind another edge that packets are sent to.
type Route struct {
	Prefix netip.Prefix
	Via    netip.Addr // the edge's address in the overlay
}

// A Way is an edge that a network is behind.
type Way struct {
	ID    [32]byte // its identity
	Sound bool     // it was heard just now
	Cost  int      // of the path to it
}

// better reports whether v is the better way if nothing was chosen before.
func (v *Way) better(w *Way) bool {
	switch {
	case v.Sound != w.Sound:
		return v.Sound
	case v.Cost != w.Cost:
		return v.Cost < w.Cost
	}
	return bytes.Compare(v.ID[:], w.ID[:]) < 0
}

// Choose returns the index of the way to a network, of one or more. The last choice, the
// index of which is given (-1: there was none), stays while its edge is heard, unless
// another one costs less than two thirds: flows must not move with every measurement.
func Choose(ways []Way, last int) int {
	best := 0
	for i := range ways {
		if ways[i].better(&ways[best]) {
			best = i
		}
	}
	if last < 0 || !ways[last].Sound && ways[best].Sound {
		return best
	}
	if ways[last].Sound == ways[best].Sound && 3*ways[best].Cost < 2*ways[last].Cost {
		return best
	}
	return last
}
