package underlay

import (
	"net/netip"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/nat/address"
)

// STUN asks servers from the data socket under which address they see us (RFC
// 8489).
type STUN struct {
	cfg       *Config
	addresses *Addresses
	bindings  address.Bindings
	next      timer.Timer
}

func newSTUN(cfg *Config, a *Addresses) *STUN {
	s := &STUN{cfg: cfg, addresses: a}
	s.next = timer.New(cfg.Timers, "stun", s.ask)
	return s
}

// Add has a server asked from now on, every 25 s. At most 16 addresses are asked,
// the other ports that servers name of themselves included.
func (s *STUN) Add(now time.Time, server netip.AddrPort) {
	s.bindings.Add(now, server)
	s.next.Set(s.bindings.Deadline())
}

// Answered reads a STUN message that came to the data socket. What it tells counts
// only if it answers a request of the last 3 s from the server that was asked.
func (s *STUN) Answered(now time.Time, from netip.AddrPort, pkt []byte) {
	seen, err := s.bindings.HandleResponse(now, from, pkt)
	if err != nil {
		s.cfg.refuse(RefusedSTUNAnswer, from, err)
		return
	}
	s.next.Set(s.bindings.Deadline()) // it may have named another port of its own
	s.addresses.Observed(now, from, seen)
	s.cfg.Observer.STUNAnswered(now, from)
}

// hurry asks every server at once.
func (s *STUN) hurry(now time.Time) {
	s.bindings.Hurry(now)
	s.next.Set(s.bindings.Deadline())
}

// ask sends a request to every server whose time has come.
func (s *STUN) ask(now time.Time) {
	s.bindings.Phase = s.addresses.policy.Phase
	for _, r := range s.bindings.Poll(now, s.cfg.Random) {
		s.cfg.Sender.Send(r.To, r.Packet)
	}
	s.next.Set(s.bindings.Deadline())
}
