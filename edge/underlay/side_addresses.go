package underlay

import (
	"net/netip"
	"sync"
)

// sideAddresses are the side addresses of one socket or allocation, one for each
// far end that packets come from there. Its methods may be called from any
// goroutine.
type sideAddresses struct {
	cfg  *Config
	send func(far netip.AddrPort, pkt []byte)
	most int // far ends; packets of more are dropped

	mu    sync.Mutex // guards what follows; not held while Sides is called
	byFar map[netip.AddrPort]netip.AddrPort
	farOf map[netip.AddrPort]netip.AddrPort
	ended bool
}

func newSideAddresses(cfg *Config, most int, send func(far netip.AddrPort, pkt []byte)) *sideAddresses {
	return &sideAddresses{
		cfg: cfg, send: send, most: most,
		byFar: make(map[netip.AddrPort]netip.AddrPort), farOf: make(map[netip.AddrPort]netip.AddrPort),
	}
}

// deliver hands in what came from a far end.
func (s *sideAddresses) deliver(far netip.AddrPort, pkt []byte) {
	if side := s.side(far); side.IsValid() {
		s.cfg.Transports.Sides.Deliver(side, pkt)
	} else {
		s.cfg.refuse(RefusedSideAddress, far, nil)
	}
}

// side returns the address that stands for a far end, not valid when there are too
// many.
func (s *sideAddresses) side(far netip.AddrPort) netip.AddrPort {
	s.mu.Lock()
	side, room := s.byFar[far], s.room()
	s.mu.Unlock()
	if side.IsValid() || !room {
		return side
	}
	sides := s.cfg.Transports.Sides
	fresh := sides.Add(func(pkt []byte) { s.send(far, pkt) })
	s.mu.Lock()
	side = s.byFar[far] // another goroutine may have been first
	if !side.IsValid() && s.room() {
		s.byFar[far], s.farOf[fresh] = fresh, far
		side, fresh = fresh, netip.AddrPort{}
	}
	s.mu.Unlock()
	if fresh.IsValid() {
		sides.Remove(fresh)
	}
	return side
}

// room reports whether there may be one far end more. The caller holds mu.
func (s *sideAddresses) room() bool { return !s.ended && len(s.byFar) < s.most }

// far returns which far end a side address stands for.
func (s *sideAddresses) far(side netip.AddrPort) (far netip.AddrPort, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	far, ok = s.farOf[side]
	return far, ok
}

// list returns all side addresses, in no order.
func (s *sideAddresses) list() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]netip.AddrPort, 0, len(s.farOf))
	for side := range s.farOf {
		list = append(list, side)
	}
	return list
}

// end removes the addresses and gives out no more.
func (s *sideAddresses) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	for _, side := range s.list() {
		s.cfg.Transports.Sides.Remove(side)
	}
	s.mu.Lock()
	clear(s.byFar)
	clear(s.farOf)
	s.mu.Unlock()
}
