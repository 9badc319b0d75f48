package edge

import (
	"net/netip"
	"sync"
)

// sideWays are the side addresses of one socket or relay, one for each far end
// that packets come from there. Its methods may be called from any goroutine.
type sideWays struct {
	sides Sides
	send  func(far netip.AddrPort, pkt []byte)
	most  int // far ends; packets of more are dropped

	mu    sync.Mutex
	byFar map[netip.AddrPort]netip.AddrPort
	ended bool
}

func newSideWays(sides Sides, most int, send func(far netip.AddrPort, pkt []byte)) *sideWays {
	return &sideWays{sides: sides, send: send, most: most, byFar: make(map[netip.AddrPort]netip.AddrPort)}
}

// deliver hands in what came from a far end.
func (w *sideWays) deliver(far netip.AddrPort, pkt []byte) {
	if side := w.side(far); side.IsValid() {
		w.sides.Deliver(side, pkt)
	}
}

// side returns the address that stands for a far end, not valid when there are
// too many.
func (w *sideWays) side(far netip.AddrPort) netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	side, known := w.byFar[far]
	if !known && !w.ended && len(w.byFar) < w.most {
		side = w.sides.Add(func(pkt []byte) { w.send(far, pkt) })
		w.byFar[far] = side
	}
	return side
}

// far returns which far end a side address stands for.
func (w *sideWays) far(side netip.AddrPort) (far netip.AddrPort, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for far, a := range w.byFar {
		if a == side {
			return far, true
		}
	}
	return netip.AddrPort{}, false
}

// some reports whether there is a side address for which f holds.
func (w *sideWays) some(f func(side netip.AddrPort) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, side := range w.byFar {
		if f(side) {
			return true
		}
	}
	return false
}

// end takes the addresses back and gives out no more.
func (w *sideWays) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, side := range w.byFar {
		w.sides.Remove(side)
	}
	clear(w.byFar)
}
