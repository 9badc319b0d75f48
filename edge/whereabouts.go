package edge

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"hedgerow/edge/control"
)

// How a supernode's name is looked up.
const (
	resolveRetry = 30 * time.Second
	lookupWait   = 10 * time.Second // bounds one look-up, so that the next one can be tried
)

// resolve looks up a supernode's addresses in the background. A literal address
// is used at once.
func (c *connector) resolve(now time.Time, s *supernode) {
	s.where.again.Stop()
	if a, err := netip.ParseAddr(s.cfg.Host); err == nil {
		c.resolved(now, s, []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), s.cfg.Port)}, nil)
		return
	}
	if s.where.resolving {
		return
	}
	s.where.resolving = true
	c.loop.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lookupWait)
		defer cancel()
		list, err := c.resolver.LookupNetIP(ctx, "ip", s.cfg.Host)
		var addrs []netip.AddrPort
		for _, a := range list {
			addrs = append(addrs, netip.AddrPortFrom(a.Unmap(), s.cfg.Port))
		}
		c.loop.Do(func(now time.Time) { c.resolved(now, s, addrs, err) })
	})
}

// resolved begins or goes on registering at the addresses found.
func (c *connector) resolved(now time.Time, s *supernode, addrs []netip.AddrPort, err error) {
	w := &s.where
	w.resolving = false
	if w.failed.IsZero() {
		w.failed = now
	}
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		w.again.Set(now.Add(resolveRetry))
		c.reports.report(now, control.Event{Kind: control.EventResolveFailed, Supernode: s.cfg.Name, Addr: s.addr(), Err: err})
		return
	}
	w.addrs, w.failed = addrs, time.Time{}
	for _, a := range addrs { // its STUN also says whether we have one mapping for all
		c.underlay.STUN.Add(now, a)
	}
	var all []netip.AddrPort
	for _, s := range c.supernodes {
		all = append(all, s.where.addrs...)
	}
	c.underlay.Addresses.SetSupernodes(all)
	if s.hop.session == nil && !s.init.active() && !s.hello.active {
		c.restart(now, s)
	}
}
