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

// A Router is an edge that a network is behind.
type Router struct {
	ID    [32]byte // its identity
	Sound bool     // it was heard just now
	Cost  int      // of the path to it
}

// better reports whether r is the better one if nothing was chosen before.
func (r *Router) better(o *Router) bool {
	switch {
	case r.Sound != o.Sound:
		return r.Sound
	case r.Cost != o.Cost:
		return r.Cost < o.Cost
	}
	return bytes.Compare(r.ID[:], o.ID[:]) < 0
}

// Choose returns the index of the router for a network, of one or more. The last choice, the
// index of which is given (-1: there was none), stays while its edge is heard, unless
// another one costs less than two thirds: flows must not move with every measurement.
func Choose(routers []Router, last int) int {
	best := 0
	for i := range routers {
		if routers[i].better(&routers[best]) {
			best = i
		}
	}
	if last < 0 || !routers[last].Sound && routers[best].Sound {
		return best
	}
	if routers[last].Sound == routers[best].Sound && 3*routers[best].Cost < 2*routers[last].Cost {
		return best
	}
	return last
}
