package edge

import (
	"net/netip"
	"slices"
	"time"
)

// resolve looks up a supernode's addresses in the background. A literal address
// is used at once.
func (c *connector) resolve(now time.Time, s *supernode) {
	if s.kin.first != nil {
		s = s.kin.first // they have one name
	}
	if to := s.where.pointer.name; to != nil {
		to.LookUp(now)
	}
	if s.where.name != nil {
		s.where.name.LookUp(now)
		return
	}
	if a, err := netip.ParseAddr(s.cfg.Host); err == nil {
		c.resolved(now, s, []netip.Addr{a.Unmap()}, nil)
	}
}

// resolved begins or goes on registering at the addresses found.
func (c *connector) resolved(now time.Time, s *supernode, list []netip.Addr, err error) {
	w := &s.where
	if err != nil {
		c.locator.unresolved(now, s, err)
		return
	}
	w.failed, w.fault = time.Time{}, nil
	w.named = w.named[:0]
	for _, a := range list {
		w.named = append(w.named, netip.AddrPortFrom(a, s.cfg.Port))
	}
	before := s.addr()
	if c.follow(now, s) {
		c.restart(now, s.kin.second)
	}
	c.locator.place(now, s)
	switch {
	case s.hop.session == nil && !s.init.active() && !s.hello.active:
		c.restart(now, s)
	case s.init.active() && !s.init.to.IsValid() && !s.registered() && !slices.Contains(w.leads(), before):
		// What is under way was sent to the last good address.
		pkt, err := s.init.initiator.Retry(now)
		c.sendInit(now, s, s.addr(), pkt, err)
	}
}
