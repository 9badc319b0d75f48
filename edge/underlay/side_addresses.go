package underlay

import (
	"net/netip"
	"sync/atomic"

	"hedgerow/transport"
)

// sideAddresses are the side addresses of one socket or allocation, one for each
// far end that packets may come from there. They are computed from the far end, so that
// nothing is kept for a source before, or after, a packet of it has authenticated. Its
// methods may be called from any goroutine.
type sideAddresses struct {
	sides  Sides
	prefix netip.Prefix
	ended  atomic.Bool
}

func newSideAddresses(cfg *Config, send func(far netip.AddrPort, pkt []byte)) *sideAddresses {
	sides := cfg.Transports.Sides
	return &sideAddresses{sides: sides, prefix: sides.AddEnds(send)}
}

// deliver hands in what came from a far end. Sockets and allocations are of IPv4; what
// comes from elsewhere, or from no port, cannot be answered and is lost.
func (s *sideAddresses) deliver(far netip.AddrPort, pkt []byte) {
	if side := transport.SideOf(s.prefix, far); side.IsValid() && !s.ended.Load() {
		s.sides.Deliver(side, pkt)
	}
}

// far returns which far end a side address stands for; ok is false for one of another
// socket or allocation.
func (s *sideAddresses) far(side netip.AddrPort) (far netip.AddrPort, ok bool) {
	if s.ended.Load() || !s.prefix.Contains(side.Addr()) {
		return netip.AddrPort{}, false
	}
	return transport.FarEnd(side)
}

// end removes the addresses: nothing is delivered from them any more.
func (s *sideAddresses) end() {
	s.ended.Store(true)
	s.sides.Remove(netip.AddrPortFrom(s.prefix.Addr(), 0))
}
